"""A period is one day or some days of a time zone, hour by hour."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.period import DAYS_MAX, Period, parse_compare, parse_day, parse_zone

BERLIN = ZoneInfo("Europe/Berlin")
NOON = Hour.parse("2026-11-23T12").start
ANY_DAY = st.dates(date(1990, 1, 1), date(2090, 1, 1))


def hours_of(text: str, zone: ZoneInfo | None = None) -> list[str]:
    """Return the hours of a period in UTC."""
    return [str(each.hour) for each in Period.parse(text, NOON, zone).hours()]


def test_a_day_in_utc_has_its_24_hours() -> None:
    """A day in UTC has the hours 0 to 23, each on that day."""
    hours = list(Period.parse("2026-11-23", NOON).hours())

    assert [(each.day, each.hour_of_day) for each in hours] == [
        (date(2026, 11, 23), number) for number in range(24)
    ]
    assert (str(hours[0].hour), str(hours[-1].hour)) == ("2026-11-23T00", "2026-11-23T23")


def test_a_range_has_both_its_days() -> None:
    """A range goes from the first hour of one day to the last hour of the other."""
    hours = hours_of("2026-11-22..2026-11-23")

    assert (len(hours), hours[0], hours[-1]) == (48, "2026-11-22T00", "2026-11-23T23")
    assert hours_of("yesterday..today") == hours
    assert hours_of("today..today") == hours[24:]
    assert Period.parse("today..today", NOON).is_range
    assert not Period.parse("today", NOON).is_range


@pytest.mark.parametrize(
    ("day", "size", "first", "last"),
    [
        ("2026-11-23", 24, "2026-11-22T23", "2026-11-23T22"),
        ("2026-03-29", 23, "2026-03-28T23", "2026-03-29T21"),
        ("2026-10-25", 25, "2026-10-24T22", "2026-10-25T22"),
    ],
)
def test_a_day_of_a_zone_has_23_to_25_hours(day: str, size: int, first: str, last: str) -> None:
    """A day of a zone is as long as its clocks have it."""
    hours = hours_of(day, BERLIN)

    assert (len(hours), hours[0], hours[-1]) == (size, first, last)


def test_the_hour_that_clocks_repeat_is_there_twice() -> None:
    """In the night that clocks are set back the hour 2 is there twice, and forward not at all."""
    back = [each.hour_of_day for each in Period.parse("2026-10-25", NOON, BERLIN).hours()]
    forward = [each.hour_of_day for each in Period.parse("2026-03-29", NOON, BERLIN).hours()]

    assert back[:5] == [0, 1, 2, 2, 3]
    assert forward[:4] == [0, 1, 3, 4]


def test_a_day_without_midnight_begins_at_one() -> None:
    """Where clocks skip midnight, the day begins with the hour that they show first."""
    hours = list(Period.parse("2018-11-04", NOON, ZoneInfo("America/Sao_Paulo")).hours())

    assert (len(hours), hours[0].hour_of_day) == (23, 1)


@given(
    ANY_DAY, st.integers(1, DAYS_MAX - 1), st.sampled_from(["Europe/Berlin", "America/New_York"])
)
def test_days_of_a_zone_follow_each_other(day: date, more: int, zone: str) -> None:
    """A range has each hour between its ends once, and is its days one after the other."""
    last = day + timedelta(more)
    hours = hours_of(f"{day}..{last}", ZoneInfo(zone))

    numbers = [Hour.parse(hour).number for hour in hours]
    assert all(after == before + 1 for before, after in pairwise(numbers))
    one_by_one = [hours_of(str(day + timedelta(n)), ZoneInfo(zone)) for n in range(more + 1)]
    assert hours == [hour for each in one_by_one for hour in each]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide"])
def test_a_zone_that_is_off_by_part_of_an_hour_is_refused(zone: str) -> None:
    """A zone whose hours do not begin with those of UTC has no periods."""
    with pytest.raises(InvalidQueryError, match="is off by part of an hour"):
        hours_of("2026-11-23", ZoneInfo(zone))


def test_today_is_that_of_the_zone() -> None:
    """Today and yesterday are days of the zone."""
    late = Hour.parse("2026-11-23T23").start

    assert parse_day("today", late, BERLIN) == date(2026, 11, 24)
    assert parse_day("yesterday", late, BERLIN) == parse_day("today", late) == date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("2026-11-23..2026-11-22", "a range must be 1 to 31 days"),
        ("2026-10-01..2026-11-01", "a range must be 1 to 31 days"),
        ("2026-11-23..", "date must be a day"),
        ("..2026-11-23", "date must be a day"),
        ("2026-11-21..2026-11-22..2026-11-23", "date must be a day"),
        ("2026-11-31", "date must be a day"),
    ],
)
def test_another_text_is_no_period(text: str, detail: str) -> None:
    """A text that is no day and no range of days is refused with what is allowed."""
    with pytest.raises(InvalidQueryError, match=detail):
        Period.parse(text, NOON)


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Etc/GMT+5", "America/Argentina/Ushuaia"])
def test_a_zone_is_one_of_the_iana_database(name: str) -> None:
    """A time zone has a name of the IANA database."""
    assert str(parse_zone(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/passwd",
        "a" * 10_000,
        "Ünder",
        "+02:00",
    ],
)
def test_another_name_is_no_zone(name: str) -> None:
    """A name of no time zone is refused, whatever it may be as the name of a file."""
    with pytest.raises(InvalidQueryError, match="tz must be a time zone such as Europe/Berlin"):
        parse_zone(name)


def test_an_earlier_hour_is_the_one_that_clocks_showed_as_the_same() -> None:
    """Each hour stands beside the one that clocks showed as the same, some days earlier."""
    today = Period.parse("2026-11-23", NOON)

    assert list(today.matching(today.earlier(7))) == [
        Hour.on(date(2026, 11, 16), number) for number in range(24)
    ]
    assert list(today.matching(None)) == [None] * 24


@given(ANY_DAY, st.integers(1, 400))
def test_clocks_are_what_is_compared(day: date, days: int) -> None:
    """An hour of a zone is compared with the same hour there, or with none in a shorter night."""
    period = Period(day, day, BERLIN)

    for each, found in zip(period.hours(), period.matching(period.earlier(days)), strict=True):
        if found is None:
            assert each.hour_of_day == 2
        else:
            local = datetime.fromtimestamp(found.start, BERLIN)
            assert (local.date(), local.hour) == (day - timedelta(days), each.hour_of_day)


def test_there_is_nothing_before_the_first_year() -> None:
    """Days before the year 1 are refused."""
    with pytest.raises(InvalidQueryError, match="there is no day 7 days before 0001-01-03"):
        Period.parse("0001-01-03", NOON).earlier(7)


def test_the_first_and_the_last_day_have_hours_in_utc() -> None:
    """The first and the last day there are have 24 hours in UTC, and may have none in a zone."""
    assert len(hours_of("0001-01-01")) == len(hours_of("9999-12-31")) == 24
    with pytest.raises(InvalidQueryError, match="the day 9999-12-31 of Europe/Berlin has no hours"):
        hours_of("9999-12-31", BERLIN)


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("7d", 7), ("28d", 28), ("999d", 999)])
def test_an_answer_is_compared_with_days_before(text: str, days: int) -> None:
    """What an answer is compared with is written as a number of days."""
    assert parse_compare(text) == days


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "1w", "1000d", "7d ", "٧d"])
def test_another_comparison_is_refused(text: str) -> None:
    """A comparison that is no number of days is refused."""
    with pytest.raises(InvalidQueryError, match="compare must be days such as 1d, 7d or 28d"):
        parse_compare(text)
