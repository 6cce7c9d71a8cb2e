"""What a message may be: the rules for its key, value, timestamp and sample rate."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from metrics.errors import InvalidMessageError
from metrics.shown import shown as shown

FUTURE_SECONDS_MAX = 300
"""How far a timestamp may be ahead of the collector's clock."""

WEIGHT_MAX = 1_000_000
"""How many messages one sampled message may stand for: keeps every count exact in a double."""

DROPPED_MAX = 1_000_000_000
"""How many messages one report may say were dropped: keeps every sum of them exact in a double."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
# Each digit can be matched in one way only: else what is no number would take quadratic time.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# RFC 3339, section 5.6; the offset is mandatory.
_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_NOT_FINITE = {"nan", "inf", "infinity"}

NUMBER_LENGTH_MAX = 400
"""How long the text of a number may be: each double can be written in less."""

_TIMESTAMP_LENGTH_MAX = 64

_OTHER_UNITS = (("milliseconds", 1000), ("microseconds", 10**6), ("nanoseconds", 10**9))

# From 1973 to 5138, so that no number is in two units; in seconds, each is of after 5138.
_OTHER_UNITS_SINCE = 10**8
_OTHER_UNITS_UNTIL = 10**11


@dataclass(frozen=True, slots=True)
class AcceptedTimes:
    """The timestamps that a collector takes.

    Attributes:
        earliest: Start of the retention, in Unix seconds.
        latest: A little ahead of the collector's clock, in Unix seconds.
    """

    earliest: float
    latest: float

    @classmethod
    def around(cls, now: float, retention_days: int) -> Self:
        """Return the times that are accepted at ``now`` (Unix seconds)."""
        return cls(now - retention_days * 86400, now + FUTURE_SECONDS_MAX)

    def check(self, timestamp: object) -> float:
        """Return a timestamp in Unix seconds.

        Args:
            timestamp: Unix seconds as a number, or an RFC 3339 string with an offset.

        Raises:
            InvalidMessageError: If it is neither, or outside the accepted times.
        """
        seconds = _unix_seconds(timestamp)
        if not self.earliest <= seconds <= self.latest:
            if not isinstance(timestamp, str) and (other := _other_unit_of(seconds)):
                raise InvalidMessageError(
                    "timestamp must be in Unix seconds; this is in %s, divide it by %d",
                    *other,
                    got=timestamp,
                )
            raise InvalidMessageError(
                "timestamp must lie between %.0f (the retention) and %.0f (five minutes ahead) "
                "in Unix seconds",
                self.earliest,
                self.latest,
                got=timestamp,
            )
        return seconds


def is_key(text: object) -> bool:
    """Return whether ``text`` may be the key of a message."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def check_key(key: object) -> str:
    """Return the key.

    Raises:
        InvalidMessageError: If it is none.
    """
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    raise InvalidMessageError(
        "key must be 1 to 128 characters of A-Z a-z 0-9 . _ : - beginning with a letter or digit",
        got=key,
    )


def check_value(value: object) -> float:
    """Return the value of a message: finite and at least 0, in the unit of its sender.

    Raises:
        InvalidMessageError: If it is a boolean, a text, negative, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidMessageError("value must be a number", got=value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidMessageError("value must be finite", got=value)
    if number < 0:
        raise InvalidMessageError("value must be 0 or more", got=value)
    return number


def check_dropped(dropped: object) -> int:
    """Return how many messages a loss report says were dropped.

    Raises:
        InvalidMessageError: If it is no integer from 1 to ``DROPPED_MAX``.
    """
    if isinstance(dropped, int) and not isinstance(dropped, bool) and 1 <= dropped <= DROPPED_MAX:
        return dropped
    raise InvalidMessageError("dropped must be an integer from 1 to %d", DROPPED_MAX, got=dropped)


def is_number(text: str) -> bool:
    """Return whether a text is meant as a number, though it may be none that is a value.

    Nothing at all is, as a number that is missing.
    """
    return (
        not text
        or text.lower().lstrip("+-") in _NOT_FINITE
        or (len(text) <= NUMBER_LENGTH_MAX and _NUMBER.fullmatch(text) is not None)
    )


def parse_value(text: str) -> float:
    """Return the value that a line of text carries.

    Raises:
        InvalidMessageError: If the text is no number, or one that is no value.
    """
    if len(text) > NUMBER_LENGTH_MAX:
        raise InvalidMessageError(
            "value must be a number of at most %d characters", NUMBER_LENGTH_MAX, got=text
        )
    if _NUMBER.fullmatch(text):
        return check_value(float(text))
    if text.lower().lstrip("+-") in _NOT_FINITE:
        raise InvalidMessageError("value must be finite", got=text)
    raise InvalidMessageError("value must be a number", got=text)


def parse_weight(sample_rate: str) -> int:
    """Return how many messages one message of a StatsD sample rate stands for.

    Args:
        sample_rate: The text behind the ``@`` of a StatsD line, ``0.1``.

    Raises:
        InvalidMessageError: If it is no rate above 0 and up to 1.

    Source:
        StatsD, docs/metric_types.md, "Sampling".
    """
    is_number = len(sample_rate) <= NUMBER_LENGTH_MAX and _NUMBER.fullmatch(sample_rate)
    rate = float(sample_rate) if is_number else math.nan
    if not 1 / WEIGHT_MAX <= rate <= 1:
        raise InvalidMessageError("sample rate must be %f to 1", 1 / WEIGHT_MAX, got=sample_rate)
    return round(1 / rate)


def _other_unit_of(timestamp: float) -> tuple[str, int] | None:
    """Return the unit in which a timestamp makes sense, and how many of it a second has."""
    for unit, per_second in _OTHER_UNITS:
        if _OTHER_UNITS_SINCE <= timestamp / per_second < _OTHER_UNITS_UNTIL:
            return unit, per_second
    return None


def _unix_seconds(timestamp: object) -> float:
    if isinstance(timestamp, str):
        if len(timestamp) <= _TIMESTAMP_LENGTH_MAX and _RFC_3339.fullmatch(timestamp):
            with suppress(ValueError, OverflowError):
                return datetime.fromisoformat(timestamp.upper()).timestamp()
    elif isinstance(timestamp, int | float) and not isinstance(timestamp, bool):
        try:
            return float(timestamp)
        except OverflowError:
            return math.inf
    raise InvalidMessageError(
        "timestamp must be Unix seconds as a number or an RFC 3339 string with an offset",
        got=timestamp,
    )
