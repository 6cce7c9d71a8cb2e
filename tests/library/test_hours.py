"""Hours are tumbling windows in UTC, strictly written."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.errors import InvalidQueryError
from metrics.hours import Hour, parse_date, parse_hour_of_day


def test_an_hour_holds_its_first_second_and_not_its_last() -> None:
    """An hour is ``[14:00:00, 15:00:00)``: the boundary is in the later hour."""
    hour = Hour.parse("2026-11-23T14")

    assert Hour.of(hour.start) == hour
    assert Hour.of(hour.end - 0.001) == hour
    assert Hour.of(hour.end) == Hour.parse("2026-11-23T15")


@given(st.integers(min_value=0, max_value=2_000_000))
def test_an_hour_is_read_as_it_is_written(number: int) -> None:
    """An hour is read back from its text, and its digits grow with time."""
    hour = Hour(number)

    assert Hour.parse(str(hour)) == hour
    assert Hour(number + 1).digits > hour.digits


def test_an_hour_is_written_for_people() -> None:
    """An hour is written ``2026-11-23T14``, and 2026112314 where it must be a number."""
    hour = Hour.on(date(2026, 11, 23), 14)

    assert str(hour) == "2026-11-23T14"
    assert hour.digits == 2026112314
    assert hour.start == 1795442400


@pytest.mark.parametrize(
    "text", ["2026-11-23T1", "2026-11-23T24", "2026-11-23 14", "2026-11-23T014", "", "T14"]
)
def test_what_is_no_hour_is_refused(text: str) -> None:
    """An hour has exactly one written form, and any other text is refused."""
    with pytest.raises(InvalidQueryError):
        Hour.parse(text)


@pytest.mark.parametrize(
    "text", ["2026-1-2", "2026-13-01", "2026-02-30", "20261123", "٢٠٢٦-11-23", "0000-01-01", ""]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """A date is YYYY-MM-DD in ASCII, and a day that exists."""
    with pytest.raises(InvalidQueryError, match="date must be a day written YYYY-MM-DD"):
        parse_date(text)


@pytest.mark.parametrize(("text", "hour"), [("0", 0), ("00", 0), ("7", 7), ("07", 7), ("23", 23)])
def test_an_hour_of_the_day_has_one_or_two_digits(text: str, hour: int) -> None:
    """An hour of the day has one or two digits: ``7`` and ``07`` are the same."""
    assert parse_hour_of_day(text) == hour


@pytest.mark.parametrize("text", ["24", "-1", "+1", "007", "٠٧", "1.0", "", "x"])
def test_what_is_no_hour_of_the_day_is_refused(text: str) -> None:
    """An hour of the day that is not 0 to 23 in ASCII digits is refused."""
    with pytest.raises(InvalidQueryError, match="hour must be 0 to 23"):
        parse_hour_of_day(text)


@pytest.mark.parametrize("parse", [Hour.parse, parse_date, parse_hour_of_day])
def test_an_error_shows_the_beginning_of_a_long_text(parse: Callable[[str], object]) -> None:
    """An error about a long text is shorter than 200 characters."""
    with pytest.raises(InvalidQueryError) as caught:
        parse("2" * 60_000)

    assert len(str(caught.value)) < 200
