"""What can be asked of the statistics: which one, of a key or of all keys with a prefix, when."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

import falcon

from api.access import Grant
from api.problems import Problem
from metrics.errors import InvalidMessageError, InvalidQueryError
from metrics.hours import Hour, parse_date, parse_hour_of_day
from metrics.message import check_key, is_key, shown
from metrics.statistic import Statistic, parse_statistic
from metrics.store import WILDCARD

HOURS_PER_DAY = 24

_DAYS_AGO = {"today": 0, "yesterday": 1}


@dataclass(frozen=True, slots=True)
class StatisticQuery:
    """What a path asks.

    Attributes:
        key: As it was asked: a key, or a prefix and ``*``.
        stat: The name of the statistic.
        statistic: What computes it.
        day: The day in UTC.
    """

    key: str
    stat: str
    statistic: Statistic
    day: date

    @classmethod
    def parse(cls, key: str, stat: str, date: str, now: float) -> Self:
        """Return the question that the parts of a path ask.

        Args:
            key: A key, or a prefix and ``*``.
            stat: The name of a statistic.
            date: A day, as ``parse_day`` reads it.
            now: The time, in Unix seconds.

        Raises:
            InvalidQueryError: If one of them is none; the text says what is allowed.
        """
        if key.endswith(WILDCARD):
            check_prefix(key.removesuffix(WILDCARD))
        else:
            try:
                check_key(key)
            except InvalidMessageError as error:
                raise InvalidQueryError(str(error)) from error
        return cls(key, stat, parse_statistic(stat), parse_day(date, now))

    @property
    def is_of_prefix(self) -> bool:
        """Whether it asks for all keys with a prefix."""
        return self.key.endswith(WILDCARD)

    def authorize(self, grant: Grant) -> None:
        """See that a request may ask this.

        Raises:
            falcon.HTTPError: If its token does not cover all that is asked for.
        """
        if not grant.covers(self.key.removesuffix(WILDCARD)):
            what = "all keys" if self.is_of_prefix else "the key"
            raise Problem(falcon.HTTP_403, f"this token may not read {what} {self.key}")


def parse_day(text: str, now: float) -> date:
    """Return the day that is written ``2026-11-23``, ``today`` or ``yesterday``, in UTC.

    Args:
        text: The text.
        now: The time, in Unix seconds.

    Raises:
        InvalidQueryError: If the text is no such day.
    """
    if text in _DAYS_AGO:
        return datetime.fromtimestamp(now, UTC).date() - timedelta(days=_DAYS_AGO[text])
    return parse_date(text)


def parse_hour(text: str, day: str, now: float) -> int:
    """Return the hour of a day, 0 to 23, that is written ``7`` or ``07``; or ``now``, of today.

    Args:
        text: The text.
        day: How its day is written.
        now: The time, in Unix seconds.

    Raises:
        InvalidQueryError: If the text is no such hour.
    """
    if text == "now" and day == "today":
        return Hour.of(now).number % HOURS_PER_DAY
    return parse_hour_of_day(text)


def check_prefix(prefix: str) -> str:
    """Return the beginning of keys.

    Raises:
        InvalidQueryError: If no key begins so.
    """
    if prefix and not is_key(prefix):
        raise InvalidQueryError(
            "prefix must be empty or the beginning of a key, 1 to 128 characters of "
            f"A-Z a-z 0-9 . _ : - beginning with a letter or digit, got {shown(prefix)}"
        )
    return prefix
