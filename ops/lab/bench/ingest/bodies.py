"""How each system wants its messages written.

A database keeps one value for each key and time, so every message that it gets has a time of its
own, in milliseconds. The first digits of a time are left open, as ``@``; ``load.lua`` fills in
others for each request, since a body that is sent twice would count once.

Source:
    InfluxDB 1.x line protocol; "How to import data in JSON line format" of VictoriaMetrics' docs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.lab.bench.ingest.messages import Message

STAMP_DIGITS = 13
"""Of a Unix time in milliseconds."""

OPEN_DIGIT = "@"


@dataclass(frozen=True, slots=True)
class Form:
    """A way to send messages to a system.

    Attributes:
        name: What people call it.
        path: Where to POST it.
        content_type: Its media type.
        write: Returns the body that has all of some messages.
    """

    name: str
    path: str
    content_type: str
    write: Callable[[Sequence[Message]], str]


def json_object(messages: Sequence[Message]) -> str:
    """Return one message as our collector takes it."""
    (message,) = messages
    return f'{{"key":"{message.key}","value":{message.value}}}'


def json_array(messages: Sequence[Message]) -> str:
    """Return an array of messages as our collector takes it."""
    return "[" + ",".join(json_object([message]) for message in messages) + "]"


def json_columns(messages: Sequence[Message]) -> str:
    """Return messages of one key as our collector takes them."""
    values = ",".join(message.value for message in messages)
    return f'{{"key":"{messages[0].key}","values":[{values}]}}'


def line_protocol(messages: Sequence[Message]) -> str:
    """Return messages as InfluxDB takes them, and VictoriaMetrics too."""
    places = places_of(messages)
    return "\n".join(
        f"rt,key={message.key} value={message.value} {stamp(message.place, places)}"
        for message in messages
    )


def import_lines(messages: Sequence[Message]) -> str:
    """Return messages as VictoriaMetrics takes them in JSON, a line each."""
    places = places_of(messages)
    return "\n".join(
        _import_line(message.key, message.value, stamp(message.place, places))
        for message in messages
    )


def import_columns(messages: Sequence[Message]) -> str:
    """Return messages of one key as VictoriaMetrics takes them in JSON, in one line."""
    places = places_of(messages)
    return _import_line(
        messages[0].key,
        ",".join(message.value for message in messages),
        ",".join(stamp(message.place, places) for message in messages),
    )


def _import_line(key: str, values: str, stamps: str) -> str:
    metric = f'{{"__name__":"rt_value","key":"{key}"}}'
    return f'{{"metric":{metric},"values":[{values}],"timestamps":[{stamps}]}}'


def places_of(messages: Sequence[Message]) -> int:
    """Return how many times one key needs in a body."""
    return max(message.place for message in messages) + 1


def stamp(place: int, places: int) -> str:
    """Return a time whose first digits are open.

    Args:
        place: Which of the times of its key in this body.
        places: How many there are.
    """
    own_digits = len(str(places - 1)) if places > 1 else 0
    own = str(place).zfill(own_digits) if own_digits else ""
    return OPEN_DIGIT * (STAMP_DIGITS - own_digits) + own
