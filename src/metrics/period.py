"""Periods: a day, or some days, of a time zone, hour by hour."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metrics.errors import InvalidQueryError
from metrics.hours import SECONDS_PER_HOUR, Hour, parse_date
from metrics.shown import shown

DAYS_MAX = 31
"""How many days a period may have."""

_DAYS_AGO = {"today": 0, "yesterday": 1}
_RANGE_DOTS = ".."
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_ZONE_LENGTH_MAX = 40
_COMPARE = re.compile(r"[1-9]\d{0,2}d", re.ASCII)


@dataclass(frozen=True, slots=True)
class LocalHour:
    """An hour as clocks of a zone show it.

    Attributes:
        day: The day there.
        hour_of_day: 0 to 23; twice in the night that clocks are set back.
        hour: Which hour it is.
    """

    day: date
    hour_of_day: int
    hour: Hour


@dataclass(frozen=True, slots=True)
class Period:
    """Days of a time zone, one after the other.

    Attributes:
        first: The first day.
        last: The last day, which may be the first.
        zone: The zone; None for UTC.
        is_range: Whether it is asked for as days from one to another, and not as one day.
    """

    first: date
    last: date
    zone: ZoneInfo | None = None
    is_range: bool = False

    @classmethod
    def parse(cls, text: str, now: float, zone: ZoneInfo | None = None) -> Self:
        """Return the period that is written as a day, or as two with ``..`` between them.

        Args:
            text: Each day as ``parse_day`` reads it.
            now: The time, in Unix seconds.
            zone: The zone; None for UTC.

        Raises:
            InvalidQueryError: If the text is no such period, or one of too many days.
        """
        first, dots, last = text.partition(_RANGE_DOTS)
        from_day = parse_day(first, now, zone)
        to_day = parse_day(last, now, zone) if dots else from_day
        period = cls(from_day, to_day, zone, is_range=bool(dots))
        days = (period.last - period.first).days + 1
        if not 1 <= days <= DAYS_MAX:
            raise InvalidQueryError(
                f"a range must be 1 to {DAYS_MAX} days, from one to a later one, got {days}"
            )
        return period

    @property
    def start(self) -> datetime:
        """When it begins, in its zone.

        Raises:
            InvalidQueryError: If that is no full hour in UTC.
        """
        return self._midnight(self.first)

    def earlier(self, days: int) -> Self:
        """Return as many days, so many days before.

        Raises:
            InvalidQueryError: If that is before the year 1.
        """
        try:
            shift = timedelta(days)
            return replace(self, first=self.first - shift, last=self.last - shift)
        except OverflowError as error:
            raise InvalidQueryError(f"there is no day {days} days before {self.first}") from error

    def hours(self) -> Iterator[LocalHour]:
        """Yield its hours: 24 a day, but 23 or 25 where clocks are changed.

        Raises:
            InvalidQueryError: If they do not begin at a full hour in UTC.
        """
        if self.zone is None:
            for number in range((self.last - self.first).days * 24 + 24):
                day = self.first + timedelta(number // 24)
                yield LocalHour(day, number % 24, Hour.on(day, number % 24))
            return
        start = Hour.of(self.start.timestamp()).number
        end = Hour.of(self._midnight(self.last, days=1).timestamp()).number
        for number in range(start, end):
            local = datetime.fromtimestamp(number * SECONDS_PER_HOUR, self.zone)
            yield LocalHour(local.date(), local.hour, Hour(number))

    def matching(self, earlier: Self | None) -> Iterator[Hour | None]:
        """Yield for each hour the one that clocks showed as the same in an earlier period.

        Args:
            earlier: As many days; None if there is none.

        Returns:
            None where the night was an hour shorter.
        """
        if earlier is None:
            yield from (None for _ in self.hours())
            return
        days = self.first - earlier.first
        hours: dict[tuple[date, int], Hour] = {}
        for each in earlier.hours():
            hours.setdefault((each.day + days, each.hour_of_day), each.hour)
        for each in self.hours():
            yield hours.get((each.day, each.hour_of_day))

    def _midnight(self, day: date, days: int = 0) -> datetime:
        try:
            midnight = datetime.combine(day + timedelta(days), time(), self.zone or UTC)
            # It may be before the year 1 there, or after the year 9999.
            seconds = midnight.astimezone(UTC).timestamp()
        except (OverflowError, ValueError) as error:
            raise InvalidQueryError(f"the day {day} of {self.zone} has no hours in UTC") from error
        if seconds % SECONDS_PER_HOUR:
            raise InvalidQueryError(
                "tz must be a zone whose hours begin with those of UTC; "
                f"{self.zone} is off by part of an hour"
            )
        return midnight


def parse_day(text: str, now: float, zone: ZoneInfo | None = None) -> date:
    """Return the day that is written ``2026-11-23``, ``today`` or ``yesterday``.

    Args:
        text: The text.
        now: The time, in Unix seconds.
        zone: Whose day it is; None for UTC.

    Raises:
        InvalidQueryError: If the text is no such day.
    """
    if text in _DAYS_AGO:
        return datetime.fromtimestamp(now, zone or UTC).date() - timedelta(_DAYS_AGO[text])
    return parse_date(text)


@lru_cache(maxsize=256)
def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database.

    Raises:
        InvalidQueryError: If there is none of that name.
    """
    # Some names, such as that of a folder, are no zones and give other errors.
    if len(name) <= _ZONE_LENGTH_MAX and _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise InvalidQueryError(f"tz must be a time zone such as Europe/Berlin, got {shown(name)}")


def parse_compare(text: str) -> int:
    """Return how many days earlier an answer is compared with, written ``7d``.

    Raises:
        InvalidQueryError: If the text is no such number of days.
    """
    if _COMPARE.fullmatch(text):
        return int(text.removesuffix("d"))
    raise InvalidQueryError(f"compare must be days such as 1d, 7d or 28d, got {shown(text)}")
