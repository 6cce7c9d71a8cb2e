"""Rates come from what counts grew by, also over the turn of an hour."""

from hypothesis import given
from hypothesis import strategies as st

from metrics.cli.rates import Rates

FIRST, NEXT = "2026-11-23T14", "2026-11-23T15"


def test_the_first_reading_shows_no_rate() -> None:
    """What was there before is no growth: the first reading of a key says nothing."""
    assert Rates(FIRST).growth("a", {FIRST: 1000}) is None


def test_an_hour_that_began_meanwhile_began_with_nothing() -> None:
    """A key that is first seen in a later hour has grown by all that it has there."""
    assert Rates(FIRST).growth("a", {NEXT: 7}) == 7


@given(st.lists(st.integers(0, 50), min_size=2), st.integers(1, 10))
def test_all_growth_adds_up(growth: list[int], turn: int) -> None:
    """The growths add up to what came after the first reading, whenever the hour turns."""
    rates = Rates(FIRST)
    counts = {FIRST: growth[0]}
    assert rates.growth("a", counts) is None
    seen = 0
    for i, more in enumerate(growth[1:], 1):
        hour = FIRST if i < turn else NEXT
        asked = {FIRST, NEXT} if i == turn else {hour}
        counts[hour] = counts.get(hour, 0) + more
        seen += rates.growth("a", {each: counts.get(each, 0) for each in asked}) or 0

    assert seen == sum(growth[1:])
