"""A line of StatsD: timings are messages; counters, gauges, sets and events are none.

Source:
    StatsD, docs/metric_types.md; DogStatsD, "Datagram format", protocols 1.0 to 1.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metrics.errors import InvalidMessageError
from metrics.message import is_number, parse_weight

_TIMINGS = {"ms", "h", "d"}
_OTHERS = {"c", "g", "s"}

_NO_METRICS = ("_e{", "_sc|")
"""How events and service checks of DogStatsD begin."""

# Tags, and where a datagram came from; a time, which DogStatsD has for counters and gauges only.
_WITHOUT_MEANING = ("#", "c:", "e:", "card:", "T")


@dataclass(frozen=True, slots=True)
class Timing:
    """A timing, a histogram or a distribution.

    Attributes:
        key: As it is written; it may be none.
        values: At least one, as they are written; any may be none.
        weight: How many messages each stands for.
    """

    key: str
    values: list[str]
    weight: int


def parse(line: str) -> Timing | None:
    """Return what a line says; None if it is no timing: a counter, a gauge, a set, an event.

    A key may hold colons: values begin at the first field behind it that is a number.

    Args:
        line: ``key:value|type``, with more values (``:1:2``), a rate (``|@0.1``), tags, or without.

    Raises:
        InvalidMessageError: If it is no such line.
    """
    name, _, rest = line.partition("|")
    if line.startswith(_NO_METRICS):
        return None
    kind, *options = rest.split("|")
    rate = _rate_in(options) if options else None
    if kind in _OTHERS:
        return None
    if kind not in _TIMINGS:
        raise InvalidMessageError(
            "the type of a StatsD line must be ms, h or d (c, g and s are ignored)", got=kind
        )
    key, *fields = name.split(":")
    if not fields:
        raise InvalidMessageError("a StatsD line must be key:value|ms", got=line)
    weight = 1 if rate is None else parse_weight(rate)
    if len(fields) == 1:
        return Timing(key, fields, weight)
    first = next((i for i, field in enumerate(fields) if is_number(field)), len(fields) - 1)
    return Timing(":".join([key, *fields[:first]]), fields[first:], weight)


def _rate_in(options: Sequence[str]) -> str | None:
    """Return the sample rate behind a type, if there is one."""
    rate = None
    for option in options:
        if option[:1] == "@" and rate is None:
            rate = option[1:]
        elif not option.startswith(_WITHOUT_MEANING):
            raise InvalidMessageError(
                "behind its type a StatsD line may have |@rate, once, and |#tags", got=option
            )
    return rate
