"""Deterministic simulation: the real code of all processes, and faults, in an order from a seed."""
