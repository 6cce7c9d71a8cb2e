"""Conditions compare a statistic with a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.cli.condition import Condition

numbers = st.floats(0, 1e15, allow_nan=False)


@given(numbers, numbers)
def test_a_condition_compares_as_python_does(value: float, limit: float) -> None:
    """Each comparison holds exactly where Python says so."""
    written = f"{limit:.3f}"
    at = float(written)

    assert Condition.parse(f"p99<{written}").holds(value) is (value < at)
    assert Condition.parse(f"p99 <= {written}").holds(value) is (value <= at)
    assert Condition.parse(f"p99>{written}").holds(value) is (value > at)
    assert Condition.parse(f" p99>={written} ").holds(value) is (value >= at)


@pytest.mark.parametrize("stat", ["p99.9", "under300", "over1.5", "median", "count"])
def test_any_statistic_may_be_named(stat: str) -> None:
    """The name of the statistic is whatever the query service knows."""
    assert Condition.parse(f"{stat}<1").stat == stat


@pytest.mark.parametrize("text", ["", "p99", "p99=3", "p99<", "<3", "p99<x", "p99<3ms", "p99<-1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    """What is no condition is refused with an example of one."""
    with pytest.raises(ValueError, match="'p99<300'"):
        Condition.parse(text)
