"""What can be asked of the statistics: which one, of a key or of all keys with a prefix, when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from zoneinfo import ZoneInfo

import falcon

from api.access import Grant
from api.problems import Problem
from api.query.parameters import check_asked_key, check_parameters, check_prefix
from metrics.hours import Hour, parse_hour_of_day
from metrics.period import Period, parse_compare, parse_zone
from metrics.statistic import Statistic, parse_statistic
from metrics.store import WILDCARD

HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class StatisticQuery:
    """What a path and its parameters ask.

    Attributes:
        key: As it was asked: a key, or a prefix and ``*``.
        stat: The name of the statistic.
        statistic: What computes it.
        zone: The zone of the days; None for UTC.
        days_before: How many days earlier it is compared with; None if it is not.
    """

    key: str
    stat: str
    statistic: Statistic
    zone: ZoneInfo | None = None
    days_before: int | None = None

    @classmethod
    def parse(cls, key: str, stat: str, parameters: Mapping[str, object]) -> Self:
        """Return the question that the parts of a path ask.

        Args:
            key: A key, or a prefix and ``*``.
            stat: The name of a statistic.
            parameters: Those of the URL.

        Raises:
            InvalidQueryError: If one of them is none; the text says what is allowed.
        """
        if key.endswith(WILDCARD):
            check_prefix(key.removesuffix(WILDCARD))
        else:
            check_asked_key(key)
        given = check_parameters(parameters, "tz", "compare")
        return cls(
            key,
            stat,
            parse_statistic(stat),
            parse_zone(given["tz"]) if "tz" in given else None,
            parse_compare(given["compare"]) if "compare" in given else None,
        )

    @property
    def is_of_prefix(self) -> bool:
        """Whether it asks for all keys with a prefix."""
        return self.key.endswith(WILDCARD)

    @property
    def is_compared(self) -> bool:
        """Whether it asks for what was earlier, too."""
        return self.days_before is not None

    def before(self, period: Period) -> Period | None:
        """Return the period that one is compared with, if it is.

        Raises:
            InvalidQueryError: If there was none so early.
        """
        return None if self.days_before is None else period.earlier(self.days_before)

    def authorize(self, grant: Grant) -> None:
        """See that a request may ask this.

        Raises:
            falcon.HTTPError: If its token does not cover all that is asked for.
        """
        if not grant.covers(self.key.removesuffix(WILDCARD)):
            what = "all keys" if self.is_of_prefix else "the key"
            raise Problem(falcon.HTTP_403, f"this token may not read {what} {self.key}")


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
