"""What is sent: how messages lie in a request, how each system wants them written, and how many.

A database keeps one value for each key and time, so every message that it gets has a time of its
own, in milliseconds. The first digits of a time are left open, as ``@``; ``load.lua`` fills in
others for each request, since a body that is sent twice would count once.

Source:
    InfluxDB 1.x line protocol; "How to import data in JSON line format" of VictoriaMetrics' docs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ops.lab.load.messages import Message, column, keys_of, rows

Shape = Literal["rows", "columns", "single"]

STAMP_DIGITS = 13
"""Of a Unix time in milliseconds."""

OPEN_DIGIT = "@"
BODIES = 20
BODIES_OF_ONE = 1000
"""Different bodies, sent in turns; both are multiples of the number of keys."""


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


Forms = Mapping[Shape, Sequence[Form]]
"""How a system takes each shape; one that is missing it does not take."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent.

    Attributes:
        name: What it is called.
        shape: How messages lie in a body.
        batch: Messages in a body.
        connections: That send at the same time.
    """

    name: str
    shape: Shape
    batch: int
    connections: int

    def keys(self, form: Form) -> list[str]:
        """Return its keys, others in each form: so what was sent can be counted."""
        initials = "".join(word[0] for word in form.name.lower().split())
        return keys_of(f"{self.name}.{initials}")

    def bodies(self, form: Form) -> list[str]:
        """Return its bodies in a form; the same for each run."""
        make = column if self.shape == "columns" else rows
        count = BODIES_OF_ONE if self.batch == 1 else BODIES
        return [form.write(make(self.keys(form), self.batch, seed)) for seed in range(count)]


ROWS = Workload("rows", "rows", 1000, 16)
COLUMNS = Workload("columns", "columns", 1000, 16)
SINGLE = Workload("single", "single", 1, 64)
GOALS = (ROWS, COLUMNS, SINGLE)

BY_SIZE = (
    SINGLE,
    Workload("rows-10", "rows", 10, 16),
    Workload("rows-100", "rows", 100, 16),
    ROWS,
    Workload("rows-10000", "rows", 10_000, 16),
)
"""Of the plot: throughput against messages per request."""


def line_protocol(messages: Sequence[Message]) -> str:
    """Return messages as InfluxDB takes them, and VictoriaMetrics too."""
    places = _places_of(messages)
    return "\n".join(
        f"rt,key={message.key} value={message.value} {_stamp(message.place, places)}"
        for message in messages
    )


def import_lines(messages: Sequence[Message]) -> str:
    """Return messages as VictoriaMetrics takes them in JSON, a line each."""
    places = _places_of(messages)
    return "\n".join(
        _import_line(message.key, message.value, _stamp(message.place, places))
        for message in messages
    )


def import_columns(messages: Sequence[Message]) -> str:
    """Return messages of one key as VictoriaMetrics takes them in JSON, in one line."""
    places = _places_of(messages)
    return _import_line(
        messages[0].key,
        ",".join(message.value for message in messages),
        ",".join(_stamp(message.place, places) for message in messages),
    )


def _import_line(key: str, values: str, stamps: str) -> str:
    metric = f'{{"__name__":"rt_value","key":"{key}"}}'
    return f'{{"metric":{metric},"values":[{values}],"timestamps":[{stamps}]}}'


def _places_of(messages: Sequence[Message]) -> int:
    """Return how many times one key needs in a body."""
    return max(message.place for message in messages) + 1


def _stamp(place: int, places: int) -> str:
    """Return a time of a key in a body, whose first digits are open."""
    own_digits = len(str(places - 1)) if places > 1 else 0
    own = str(place).zfill(own_digits) if own_digits else ""
    return OPEN_DIGIT * (STAMP_DIGITS - own_digits) + own
