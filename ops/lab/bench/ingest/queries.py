"""How long queries take: of one key-hour, while messages come in, and of many key-hours."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import time

from metrics.hours import Hour
from ops.lab.bench.ingest.systems import Ours
from ops.lab.key_hours import aggregate_of, write_key_hour
from ops.lab.load.plan import Load, Plan, Tick
from ops.lab.quantiles import in_words
from ops.lab.system import path_of

PER_S = 200.0
CONNECTIONS = 4
SIZES = (1_000, 1_000_000, 36_000_000)
"""Messages of an hour: from one app that rests to ten thousand a second."""

BATCH = 1000
WIDE_KEYS = 1_000
WIDE_MESSAGES = 36_000
"""Messages of each key-hour where many are asked for: ten a second, so its hash is full."""

WIDE_PER_S = 1.0
"""Slow enough that each question is alone."""


@dataclass(frozen=True, slots=True)
class Queried:
    """How queries fared.

    Attributes:
        name: Of what, and when.
        tick: What came of them in the end.
        beside: And of the POSTs that were sent at the same time, if any.
    """

    name: str
    tick: Tick
    beside: Tick | None = None

    def complaints(self) -> list[str]:
        """Return what is wrong with it."""
        found = [("queries", self.tick), ("POSTs beside them", self.beside)]
        return [
            f"{self.name}: {each.errors} errors of {what} ({each.statuses})"
            for what, each in found
            if each and each.errors
        ]

    def __str__(self) -> str:
        return f"{self.name}: {in_words(self.tick.took_ns)}"


def by_size(ours: Ours, seconds: float) -> Iterator[Queried]:
    """Query hours of different sizes while nothing else happens, so long each."""
    for messages in SIZES:
        key = f"hour-of-{messages}"
        write(ours, key, messages)
        with _median_of(ours, [key], seconds) as queries:
            yield Queried(f"an hour of {messages:,} messages", queries.last())


def beside_ingest(ours: Ours, messages_per_s: float, seconds: float) -> Queried:
    """Query hours while messages for them come in.

    Args:
        ours: The system, which is up.
        messages_per_s: In rows, ``BATCH`` in a request.
        seconds: Of queries.
    """
    plan = Plan(
        port=ours.port,
        form="rows",
        app="beside-queries",
        batch=BATCH,
        has_keys=False,
        messages_per_s=messages_per_s,
        seconds=seconds,
    )
    for key in plan.key_names:
        write(ours, key, 1000)
    with Load(plan) as ingest, _median_of(ours, plan.key_names, seconds) as queries:
        queried, beside = queries.last(), ingest.last()
    ours.drain()
    return Queried(f"while {messages_per_s:,.0f} messages/s come in", queried, beside)


def wide(ours: Ours, seconds: float) -> Iterator[Queried]:
    """Query many key-hours at once, one question after the other, so long each kind."""
    hour = Hour.of(time())
    keys = [f"wide.app-{number}" for number in range(WIDE_KEYS)]
    for key in keys:
        write(ours, key, WIDE_MESSAGES, hour=hour)
    day = [Hour(hour.number // 24 * 24 - hours) for hours in range(1, 25)]
    for one in day:
        write(ours, keys[0], WIDE_MESSAGES, hour=one)
    questions = {
        f"a prefix of {WIDE_KEYS:,} keys": f"/wide.*/median/{path_of(hour)}",
        "a day of one key": f"/{keys[0]}/median/{path_of(day[0]).split('/')[0]}",
    }
    for name, path in questions.items():
        plan = Plan(
            port=ours.query.port,
            paths=[path],
            has_keys=False,
            messages_per_s=WIDE_PER_S,
            connections=1,
            seconds=seconds,
        )
        with Load(plan) as queries:
            yield Queried(name, queries.last())


def write(ours: Ours, key: str, messages: int, sigma: float = 1.0, hour: Hour | None = None) -> str:
    """Write a key-hour of lognormal messages, the current one if not given; return its hash."""
    aggregate = aggregate_of(messages, sigma)
    now = hour or Hour.of(time())
    return write_key_hour(ours.connection, len(ours.partitions), key, now, aggregate)


def _median_of(ours: Ours, keys: list[str], seconds: float) -> Load:
    hour = path_of(Hour.of(time()))
    return Load(
        Plan(
            port=ours.query.port,
            paths=[f"/{key}/median/{hour}" for key in keys],
            has_keys=False,
            messages_per_s=PER_S,
            connections=CONNECTIONS,
            seconds=seconds,
        )
    )
