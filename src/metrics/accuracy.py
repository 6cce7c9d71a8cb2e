"""How exact quantiles are."""

RELATIVE_ERROR = 0.01
"""Promised bound of every quantile: ``abs(estimate - true) <= RELATIVE_ERROR * true``."""
