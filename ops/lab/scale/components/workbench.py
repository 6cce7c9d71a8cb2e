"""A Redis to which entries of known make are appended, and the worker's own code that folds them.

What appends here is no collector: it stands in for one, and only Redis is measured of it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from time import process_time

from metrics.aggregate import Aggregate
from metrics.backlog import Backlog
from metrics.connection import Call, Connection
from metrics.entry import Column, write_values
from metrics.hours import Hour
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.layout import Layout
from metrics.node import Node, Reply
from metrics.stream import AppendCalls, Batch
from ops.lab.cpu import exact_seconds
from ops.lab.key_hours import memory_bytes, write_key_hour
from ops.lab.load.messages import response_times
from ops.lab.scale.figures import PARTITIONS
from ops.local.redis_server import EmbeddedRedis
from workers.aggregator import Aggregator

KEYS = 20
"""Of each partition."""

WARM_VALUES = 20_000
"""So many messages give a key-hour nearly all the buckets that it will ever have."""

_BACKLOG_LIMIT, _WINDOW_S, _RETENTION_DAYS = 1_000_000, 900, 30
_TIMEOUT_S = 10.0
_SAMPLE = 16_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work; each partition gets the same.

    Attributes:
        keys: Different keys in a call.
        batches: Batches in a call; of each key equally many.
        messages: Of each batch.
        is_marked: Whether each batch has an idempotency key of its own.
        is_alone: Whether each call is a round trip of its own, on a connection of its own, all of
            them at once as to a busy Redis; or all are one.
    """

    keys: int = 1
    batches: int = 1
    messages: int = 1
    is_marked: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What some work has cost.

    Attributes:
        counts: The work.
        redis_s: CPU seconds of Redis.
        own_s: CPU seconds of this process.
    """

    counts: dict[str, float]
    redis_s: float
    own_s: float

    def and_also(self, other: "Spent") -> "Spent":
        """Return what both have cost together."""
        units = self.counts | other.counts
        counts = {unit: self.counts.get(unit, 0) + other.counts.get(unit, 0) for unit in units}
        return Spent(counts, self.redis_s + other.redis_s, self.own_s + other.own_s)


class Workbench:
    """Appends and folds, and tells what either cost.

    Making one fills the hours of all keys; the server must be up and empty.
    """

    def __init__(self, server: EmbeddedRedis) -> None:
        if server.process is None:
            raise ValueError("the Redis of the benchmark is not up")
        self._pid = server.process.pid
        self._client = server.client()
        self._node = Node.at(server.url, timeout_s=_TIMEOUT_S, connections_max=PARTITIONS)
        self._connection = Connection.open(server.url, timeout_s=_TIMEOUT_S, connections_max=1)
        Layout(self._connection, partitions=PARTITIONS).ensure()
        self._aggregator = Aggregator(
            Backlog(self._connection, consumer="bench", retention_days=_RETENTION_DAYS),
            ensure_layout=lambda: None,
            partitions=PARTITIONS,
            claim_s=3600,
            lateness_s=10,
        )
        self._hour = Hour.of(time.time())
        self._keys = _keys_by_partition()
        self._values = response_times(_SAMPLE, seed=1)
        self._numbers = count()
        self._fill_hours()
        # So that Redis knows the scripts, and the streams have their groups.
        self.append(Kind())
        self.fold(Kind())

    def close(self) -> None:
        """Leave the server to others."""
        self._connection.close()
        self._node.close()
        self._client.close()

    def wire_bytes(self) -> int:
        """Return what Redis has got from clients and sent to them so far."""
        info = self._client.info("stats")
        total: int = info["total_net_input_bytes"] + info["total_net_output_bytes"]
        return total

    def memory_bytes(self) -> int:
        """Return what Redis uses."""
        used: int = self._client.info("memory")["used_memory"]
        return used

    def append(self, kind: Kind) -> Spent:
        """Let each partition have one call of a kind.

        Raises:
            MetricsError: If Redis did not do it.
        """
        batches = [list(self._batches(kind, number)) for number in range(PARTITIONS)]
        calls = [call for each in batches for call in _calls(each)]
        columns = kind.batches if kind.is_marked else kind.keys
        begun, redis_begun = process_time(), exact_seconds(self._pid)
        if kind.is_alone:
            self._execute_at_once(calls)
        else:
            _require_done(self._connection.execute(calls))
        redis_s, own_s = exact_seconds(self._pid) - redis_begun, process_time() - begun
        counts: dict[str, float] = {
            "trip": PARTITIONS if kind.is_alone else 1,
            "call": PARTITIONS,
            "column": PARTITIONS * columns,
            "message": PARTITIONS * kind.batches * kind.messages,
            "mark": PARTITIONS * kind.batches if kind.is_marked else 0,
        }
        return Spent(counts, redis_s, own_s)

    def fold(self, kind: Kind | None) -> Spent:
        """Let the worker's code read once, and commit: what one ``append`` left, or nothing."""
        begun, redis_begun = process_time(), exact_seconds(self._pid)
        self._aggregator.run_once()
        redis_s, own_s = exact_seconds(self._pid) - redis_begun, process_time() - begun
        counts: dict[str, float] = {"round": 1}
        if kind is not None:
            counts["commit"] = PARTITIONS
            counts["entry"] = PARTITIONS * (kind.batches if kind.is_marked else 1)
            counts["key-hour"] = PARTITIONS * kind.keys
            counts["message"] = PARTITIONS * kind.batches * kind.messages
            counts["bucket"] = self._buckets
        return Spent(counts, redis_s, own_s)

    def hour_of(self, key: str, aggregate: Aggregate) -> str:
        """Write a key-hour; return the name of its hash."""
        return write_key_hour(self._connection, PARTITIONS, key, self._hour, aggregate)

    def size_of(self, name: str) -> int:
        """Return the bytes that a name of Redis takes, 0 if it is not there."""
        return memory_bytes(self._connection, name)

    def streams_bytes(self) -> int:
        """Return the bytes that the streams of all partitions take."""
        names = (PartitionNames(number).stream for number in range(PARTITIONS))
        return memory_bytes(self._connection, *names)

    def backlog_entries(self) -> int:
        """Return how many entries wait in the streams of all partitions."""
        return sum(self._client.xlen(PartitionNames(number).stream) for number in range(PARTITIONS))

    def _execute_at_once(self, calls: Sequence[Call]) -> None:
        """Send each call on a connection of its own before the first reply is read."""
        with ExitStack() as stack:
            pipelines = [
                stack.enter_context(self._node.pipeline([each.arguments])) for each in calls
            ]
            for pipeline in pipelines:
                _require_done(pipeline.replies())

    def _batches(self, kind: Kind, partition: int) -> Iterator[Batch]:
        """Yield the batches of a call, and note how many buckets they will touch."""
        if partition == 0:
            self._buckets = 0
        by_key: dict[str, list[float]] = {}
        for number in range(kind.batches):
            key = self._keys[partition][number % kind.keys]
            first = next(self._numbers) * 997 % (_SAMPLE - kind.messages)
            values = self._values[first : first + kind.messages]
            by_key.setdefault(key, []).extend(values)
            column = Column(key_hour(key, self._hour), write_values(values), kind.messages)
            idempotency_key = (
                IdempotencyKey(f"bench/{next(self._numbers)}", "digest" * 4)
                if kind.is_marked
                else None
            )
            yield Batch({partition: [column]}, idempotency_key)
        self._buckets += sum(len(Aggregate.of(values).histogram) for values in by_key.values())

    def _fill_hours(self) -> None:
        aggregate = Aggregate.of(response_times(WARM_VALUES, seed=2))
        for keys in self._keys.values():
            for key in keys:
                self.hour_of(key, aggregate)


def _calls(batches: Sequence[Batch]) -> list[Call]:
    """Return what a collector sends for batches: a registration for each mark, and one append."""
    group = AppendCalls(batches, backlog_limit_entries=_BACKLOG_LIMIT, window_s=_WINDOW_S)
    reservations = [
        Reservation(batch.idempotency_key, time.time(), partitions=PARTITIONS, window_s=_WINDOW_S)
        for batch in batches
        if batch.idempotency_key is not None
    ]
    return [*group.calls, *(call for each in reservations for call in each.calls)]


def _require_done(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _keys_by_partition() -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
    for number in count():
        keys = found[partition_of(key := f"bench.web-{number}", PARTITIONS)]
        if len(keys) < KEYS:
            keys.append(key)
        elif all(len(each) == KEYS for each in found.values()):
            return found
    raise AssertionError
