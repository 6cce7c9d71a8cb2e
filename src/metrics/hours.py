"""Hours: tumbling windows of one hour in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Self

from metrics.errors import InvalidQueryError

SECONDS_PER_HOUR = 3600

TEXT_SHOWN_MAX = 32
"""How much an error text shows of what is no date and no hour."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR_OF_DAY = re.compile(r"\d{1,2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Hour:
    """The window ``[14:00:00, 15:00:00)`` of one day in UTC.

    Attributes:
        number: Hours since 1970-01-01T00 UTC.
    """

    number: int

    @classmethod
    def of(cls, timestamp: float) -> Self:
        """Return the hour of a Unix timestamp in seconds."""
        return cls(int(timestamp // SECONDS_PER_HOUR))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the hour that ``str`` writes as ``2026-11-23T14``.

        Raises:
            InvalidQueryError: If the text is no such hour.
        """
        day, _, hour = text.partition("T")
        if len(hour) != len("00"):
            raise InvalidQueryError(
                f"an hour is written 2026-11-23T14, got {text[:TEXT_SHOWN_MAX]!r}"
            )
        return cls.on(parse_date(day), parse_hour_of_day(hour))

    @classmethod
    def of_digits(cls, digits: int) -> Self:
        """Return the hour that ``digits`` writes as 2026112314.

        Raises:
            InvalidQueryError: If the number is no such hour.
        """
        text = str(digits)
        return cls.parse(f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:]}")

    @classmethod
    def on(cls, day: date, hour_of_day: int) -> Self:
        """Return the hour that begins at ``hour_of_day`` (0 to 23) on ``day``."""
        return cls((day - _EPOCH.date()).days * 24 + hour_of_day)

    @property
    def start(self) -> int:
        """First second of the hour, in Unix seconds."""
        return self.number * SECONDS_PER_HOUR

    @property
    def end(self) -> int:
        """First second after the hour, in Unix seconds."""
        return self.start + SECONDS_PER_HOUR

    @property
    def digits(self) -> int:
        """The hour as a number that sorts and reads well: 2026112314."""
        return int(str(self).replace("-", "").replace("T", ""))

    def __str__(self) -> str:
        return _written(self.number)


@lru_cache(maxsize=1024)
def _written(number: int) -> str:
    return (_EPOCH + timedelta(hours=number)).strftime("%Y-%m-%dT%H")


def parse_date(text: str) -> date:
    """Return the day that is written ``2026-11-23``.

    Raises:
        InvalidQueryError: If the text is no such day.
    """
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise InvalidQueryError(
        "date must be a day written YYYY-MM-DD, or today or yesterday, got "
        f"{text[:TEXT_SHOWN_MAX]!r}"
    )


def parse_hour_of_day(text: str) -> int:
    """Return the hour of the day, 0 to 23, that is written ``7`` or ``07``.

    Raises:
        InvalidQueryError: If the text is no such hour.
    """
    if _HOUR_OF_DAY.fullmatch(text) and int(text) < 24:
        return int(text)
    raise InvalidQueryError(
        f"hour must be 0 to 23 (UTC), or now of today, got {text[:TEXT_SHOWN_MAX]!r}"
    )
