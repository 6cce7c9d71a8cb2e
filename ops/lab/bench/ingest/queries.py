"""How long queries take: of one key-hour, while messages come in, and of many key-hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import time

import numpy as np

from metrics.aggregate import BUCKET_PREFIX, Aggregate
from metrics.connection import command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from ops.lab.bench.ingest.messages import response_times
from ops.lab.bench.ingest.ours import Ours, path_of
from ops.lab.bench.ingest.paced import Answered, Pace, Paced, get, post
from ops.lab.bench.ingest.workload import Workload
from ops.lab.latencies import shown

PER_S = 200.0
CONNECTIONS = 4
SIZES = (1_000, 1_000_000, 36_000_000)
"""Messages of an hour: from one app that rests to ten thousand a second."""

SAMPLE = 1_000_000
"""Values that are really drawn; in a larger hour each of them counts several times."""

WIDE_KEYS = 1_000
WIDE_MESSAGES = 36_000
"""Messages of each key-hour where many are asked for: ten a second, so its hash is full."""

WIDE_PER_S = 1.0
"""Slow enough that each question is alone."""

_BESIDE = Workload("beside-queries", "rows", 1000, 16)


@dataclass(frozen=True, slots=True)
class Queried:
    """How queries fared.

    Attributes:
        name: Of what, and when.
        answered: The queries.
        beside: The POSTs that were sent at the same time, if any.
    """

    name: str
    answered: Answered
    beside: Answered | None = None

    def complaints(self) -> list[str]:
        """Return what is wrong with it."""
        found = [("queries", self.answered), ("POSTs beside them", self.beside)]
        return [
            f"{self.name}: {each.errors} errors of {what} ({each.statuses})"
            for what, each in found
            if each and each.errors
        ]

    def __str__(self) -> str:
        took = self.answered.latencies
        return f"{self.name}: p50 {shown(took.p50)}, p99 {shown(took.p99)}, max {shown(took.max)}"


def write_hour(ours: Ours, key: str, messages: int, sigma: float, hour: Hour | None = None) -> str:
    """Put a key-hour of so many messages into Redis, as a worker would have left it.

    Args:
        ours: The system.
        key: Its key.
        messages: How many, each of a sample counting equally often.
        sigma: Of the lognormal distribution.
        hour: Its hour; the current one if not given.

    Returns:
        The name of its hash.
    """
    hour = hour or Hour.of(time())
    partition = PartitionNames(partition_of(key, ours.partitions))
    name = partition.hour(key_hour(key, hour))
    ours.connection.ask(command("HSET", name, *_hash_of(messages, sigma)))
    ours.connection.ask(command("ZADD", partition.keys, "GT", hour.digits, key))
    return name


@cache
def _hash_of(messages: int, sigma: float) -> tuple[str, ...]:
    """Return the fields and values in turns; the same for the same numbers, so drawn once."""
    drawn = min(messages, SAMPLE)
    values = response_times(drawn, 1, sigma)
    aggregate = Aggregate.of(values, np.full(drawn, messages // drawn).tolist())
    fields: dict[str, float] = {
        "count": aggregate.count,
        "sum": aggregate.sum,
        "min": aggregate.min,
        "max": aggregate.max,
        **{f"{BUCKET_PREFIX}{bucket}": count for bucket, count in aggregate.histogram},
    }
    return tuple(text for field, value in fields.items() for text in (field, repr(value)))


def by_size(ours: Ours, seconds: float, folder: Path) -> list[Queried]:
    """Query hours of different sizes while nothing else happens.

    Args:
        ours: The system, which is up.
        seconds: Of queries, each size.
        folder: Where requests are put for a while.
    """
    found = []
    for messages in SIZES:
        key = f"hour-of-{messages}"
        write_hour(ours, key, messages, sigma=1.0)
        queries = _queries(ours, [key], seconds, folder)
        found.append(Queried(f"an hour of {messages:,} messages", queries.result()))
    return found


def beside_ingest(ours: Ours, messages_per_s: float, seconds: float, folder: Path) -> Queried:
    """Query hours while messages for them come in.

    Args:
        ours: The system, which is up.
        messages_per_s: In rows, ``_BESIDE.batch`` in a request.
        seconds: Of queries; before them a second for the messages to get going.
        folder: Where requests are put for a while.
    """
    form = ours.forms["rows"][0]
    posts = [post(form.path, form.content_type, body) for body in _BESIDE.bodies(form)]
    keys = _BESIDE.keys(form)
    for key in keys:
        write_hour(ours, key, 1000, sigma=1.0)
    pace = Pace(messages_per_s / _BESIDE.batch, _BESIDE.connections, seconds)
    ingest = Paced(ours.port, posts, pace, folder)
    try:
        queried = _queries(ours, keys, seconds, folder).result()
        beside = ingest.result()
    finally:
        ingest.kill()
    ours.drain()
    return Queried(f"while {messages_per_s:,.0f} messages/s come in", queried, beside)


def wide(ours: Ours, seconds: float, folder: Path) -> list[Queried]:
    """Query many key-hours at once, one question after the other.

    Args:
        ours: The system, which is up.
        seconds: Of queries, each kind.
        folder: Where requests are put for a while.
    """
    hour = Hour.of(time())
    keys = [f"wide.app-{number}" for number in range(WIDE_KEYS)]
    for key in keys:
        write_hour(ours, key, WIDE_MESSAGES, 1.0, hour)
    day = [Hour(hour.number // 24 * 24 - hours) for hours in range(1, 25)]
    for one in day:
        write_hour(ours, keys[0], WIDE_MESSAGES, 1.0, one)
    questions = {
        f"a prefix of {WIDE_KEYS:,} keys": f"/wide.*/median/{path_of(hour)}",
        "a day of one key": f"/{keys[0]}/median/{path_of(day[0]).split('/')[0]}",
    }
    pace = Pace(WIDE_PER_S, connections=1, seconds=seconds)
    return [
        Queried(name, Paced(ours.query.port, [get(path)], pace, folder).result())
        for name, path in questions.items()
    ]


def _queries(ours: Ours, keys: Sequence[str], seconds: float, folder: Path) -> Paced:
    hour = path_of(Hour.of(time()))
    paths = [get(f"/{key}/median/{hour}") for key in keys]
    return Paced(ours.query.port, paths, Pace(PER_S, CONNECTIONS, seconds), folder)
