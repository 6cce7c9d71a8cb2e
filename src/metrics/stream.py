"""The collector's side of the streams: batches are registered and appended, each at most once."""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import islice

import msgspec

from metrics.connection import Call, Connection, Script, command, done
from metrics.entry import Column, Entry, pack, write_values
from metrics.errors import (
    IdempotencyConflictError,
    MetricsError,
    PartlyStoredError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Argument, Reply

DRAWN_BITS = 48

_ARRIVAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?")

_APPEND = Script.named("append")


def draw_number() -> int:
    """Return a number that nobody draws again."""
    return secrets.randbits(DRAWN_BITS)


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes the repetition of a batch recognisable.

    Attributes:
        key: Its idempotency key.
        digest: Of its body.
        owner: Tells one token's keys from another's; empty if there are no tokens.
    """

    key: str
    digest: str
    owner: str = ""

    @property
    def fingerprint(self) -> int:
        """A short digest: Redis keeps a number of 7 bytes in a fraction of the memory of a text."""
        return int.from_bytes(blake2b(self.digest.encode(), digest_size=7).digest(), "big")

    @property
    def name(self) -> str:
        """The key, unique to its sender."""
        return f"{self.owner}:{self.key}" if self.owner else self.key


class Batch(msgspec.Struct, frozen=True):
    """The good messages and loss reports of one request, by partition; at least one.

    A struct, since it is made in a tenth of the time that a frozen dataclass takes.

    Attributes:
        columns: Partition -> its columns.
        mark: How a repetition is recognised, if the sender gave an idempotency key.
    """

    columns: dict[int, list[Column]]
    mark: Mark | None = None

    @property
    def length(self) -> int:
        """How long its text is."""
        return sum([len(column.text) for columns in self.columns.values() for column in columns])


class SingleMessage(msgspec.Struct, frozen=True, gc=False):
    """One message that comes alone, without a mark: many of them become one batch.

    Attributes:
        partition: Of its key.
        key_hour: As ``keyspace.key_hour`` writes it.
        value: Its value.
    """

    partition: int
    key_hour: str
    value: float


Failures = dict[int, MetricsError]
"""Partition -> what kept it from taking its part of a batch."""


class Registration:
    """The first use of an idempotency key: which body came under it, and when.

    Partitions keep marks of their own; but a second body under the same key may touch others than
    the first did. So each key also has a home, where its first body is written down before
    anything is appended. Nothing counts as stored because of it.

    Args:
        mark: The batch's.
        arrival: When this request came, in Unix seconds.
        partitions: How many there are.
        window_s: The dedupe window.

    Attributes:
        home: The partition of the key.
        calls: What to send.
    """

    def __init__(self, mark: Mark, arrival: float, *, partitions: int, window_s: int) -> None:
        self._mark = mark
        self._arrival = arrival
        self.home = partition_of(mark.name, partitions)
        home = PartitionNames(self.home).batch(mark.name)
        text = f"{mark.digest} {arrival!r}"
        self.calls: list[Call] = [
            command("SET", home, text, "NX", "EX", window_s),
            command("GET", home),
            # A repetition refreshes the marks, and they must not outlive this.
            command("EXPIRE", home, window_s),
        ]

    def settle(self, replies: Sequence[Reply | MetricsError]) -> float | MetricsError:
        """Return when the first request under this key came, or what stands against this one."""
        for reply in replies:
            if isinstance(reply, MetricsError):
                # Of the batch itself nothing is stored yet.
                return StorageUnavailableError(str(reply), stored="no", public=reply.public)
        text: bytes | None = done(replies[1])
        if text is None:  # it expired just now
            return self._arrival
        digest, _, arrival = text.decode(errors="replace").partition(" ")
        if not _ARRIVAL.fullmatch(arrival):
            return _not_ours(PartitionNames(self.home).batch(self._mark.name))
        return float(arrival) if digest == self._mark.digest else _conflict(self._mark)


Item = Batch | SingleMessage | Registration
"""What is sent to Redis together with others."""


class _PartitionGroup:
    """What one script call appends: the marked batches one by one, all others as one."""

    __slots__ = ("columns", "marked", "unmarked")

    def __init__(self) -> None:
        self.marked: list[tuple[int, Mark, list[Entry]]] = []
        self.unmarked: list[int] = []
        self.columns: list[Column] = []


class Group:
    """Batches that are appended together: one call per partition, whatever their number.

    Args:
        batches: What to append.
        backlog_limit_entries: How many entries a stream may hold.
        window_s: The dedupe window.
        draw: Draws a number that makes ids of entries unique, of ``DRAWN_BITS`` bits.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        *,
        backlog_limit_entries: int,
        window_s: int,
        draw: Callable[[], int] = draw_number,
    ) -> None:
        # One for all streams: in each of them it comes once.
        self._drawn = draw()
        self._batches = batches
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._partitions: dict[int, _PartitionGroup] = {}
        for i, batch in enumerate(batches):
            for partition, columns in batch.columns.items():
                group = self._partitions.get(partition)
                if group is None:
                    group = self._partitions[partition] = _PartitionGroup()
                if batch.mark is not None:
                    group.marked.append((i, batch.mark, pack(columns)))
                else:
                    group.unmarked.append(i)
                    group.columns += columns
        self.calls: list[Call] = [
            self._call(number, group) for number, group in self._partitions.items()
        ]

    def settle(self, replies: Sequence[Reply | MetricsError]) -> list[Failures]:
        """Return for each batch the partitions that did not take its messages, and why."""
        failures: list[Failures] = [{} for _ in self._batches]
        for (number, group), reply in zip(self._partitions.items(), replies, strict=True):
            members = [[i] for i, _, _ in group.marked]
            if group.unmarked:
                members.append(group.unmarked)
            for k, indexes in enumerate(members):
                result = reply if isinstance(reply, MetricsError) else reply[k]
                for i in indexes:
                    error = self._error(number, i, result)
                    if error is not None:
                        failures[i][number] = error
        return failures

    def _call(self, number: int, group: _PartitionGroup) -> Call:
        names = _names(number)
        if group.marked:
            names += tuple(PartitionNames(number).seen(mark.name) for _, mark, _ in group.marked)
        batches: list[tuple[Argument, list[Entry]]] = [
            (mark.fingerprint, entries) for _, mark, entries in group.marked
        ]
        if group.unmarked:
            batches.append(("", pack(group.columns)))
        arguments: list[Argument] = [self._limit, self._window_s, self._drawn, len(batches)]
        for fingerprint, entries in batches:
            arguments += (fingerprint, sum([entry.messages for entry in entries]), len(entries))
            for entry in entries:
                arguments.append(len(entry.columns))
                for column in entry.columns:
                    arguments += (column.key_hour, column.text)
        return _APPEND.call(names, arguments)

    def _error(self, partition: int, i: int, result: int | MetricsError) -> MetricsError | None:
        if isinstance(result, MetricsError):
            return result
        mark = self._batches[i].mark
        if result == -1 and mark is not None:
            return _conflict(mark)
        if result == -3 and mark is not None:
            return _not_ours(PartitionNames(partition).seen(mark.name))
        if result == -2:
            return StorageUnavailableError(f"the backlog of partition {partition} is at its limit")
        return None


@cache
def _names(partition: int) -> tuple[str, ...]:
    """Return the names that each append touches."""
    names = PartitionNames(partition)
    return names.stream, names.audit, names.backlog


class Appender:
    """Sends batches and registrations to Redis together; each has an outcome of its own.

    Args:
        connection: The way to Redis.
        ensure_layout: Checks that Redis holds what this process expects.
        backlog_limit_entries: How many entries a stream may hold.
        window_s: The dedupe window.
        replicas: How many replicas must have a batch before it counts as stored.
        draw: Draws a number that makes ids of entries unique, of ``DRAWN_BITS`` bits.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        ensure_layout: Callable[[], None],
        backlog_limit_entries: int,
        window_s: int,
        replicas: int = 0,
        draw: Callable[[], int] = draw_number,
    ) -> None:
        self._draw = draw
        self._connection = connection
        self._ensure_layout = ensure_layout
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._replicas = replicas

    def send(self, items: Sequence[Item]) -> list[Failures | float | MetricsError]:
        """Send all items in one go, and wait for Redis.

        Returns:
            For each batch and single message its failures, for each registration what it settles
            to.

        Raises:
            MetricsError: If Redis is not what this process expects; nothing is stored then.
        """
        self._ensure_layout()
        singles = [item for item in items if isinstance(item, SingleMessage)]
        batches = [item for item in items if isinstance(item, Batch)]
        if singles:
            batches.append(_batch_of(singles))
        group = Group(
            batches,
            backlog_limit_entries=self._limit,
            window_s=self._window_s,
            draw=self._draw,
        )
        registrations = [item for item in items if isinstance(item, Registration)]
        calls = [*group.calls, *(call for each in registrations for call in each.calls)]
        replies = iter(self._connection.execute(calls, replicas=self._replicas))
        failures = group.settle(list(islice(replies, len(group.calls))))
        of_singles = failures.pop() if singles else {}
        of_batches = iter(failures)
        arrivals = iter(
            [each.settle(list(islice(replies, len(each.calls)))) for each in registrations]
        )
        outcomes: list[Failures | float | MetricsError] = []
        for item in items:
            if isinstance(item, SingleMessage):
                error = of_singles.get(item.partition)
                outcomes.append({item.partition: error} if error else _NO_FAILURES)
            else:
                outcomes.append(next(of_batches if isinstance(item, Batch) else arrivals))
        return outcomes


_NO_FAILURES: Failures = {}


def _batch_of(messages: Sequence[SingleMessage]) -> Batch:
    values: dict[tuple[int, str], list[float]] = {}
    for message in messages:
        values.setdefault((message.partition, message.key_hour), []).append(message.value)
    columns: dict[int, list[Column]] = {}
    for (partition, key_hour), some in values.items():
        column = Column(key_hour, write_values(some), len(some))
        columns.setdefault(partition, []).append(column)
    return Batch(columns)


def _conflict(mark: Mark) -> IdempotencyConflictError:
    return IdempotencyConflictError(f"Idempotency-Key {mark.key!r} was used for another body")


def _not_ours(name: str) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"{name} does not hold what a collector writes there; it expires, or DEL it", stored="no"
    )


def failure_of(batch: Batch, failures: Failures) -> MetricsError | None:
    """Return one error for a batch that some partitions did not take, None if all did."""
    if not failures:
        return None
    for error in failures.values():
        if isinstance(error, IdempotencyConflictError):
            return error
    first = next(iter(failures.values()))
    if len(failures) < len(batch.columns):
        return PartlyStoredError(str(first), frozenset(failures), public=first.public)
    is_nothing_stored = all(map(_is_not_stored, failures.values()))
    return StorageUnavailableError(
        str(first), stored="no" if is_nothing_stored else "unknown", public=first.public
    )


def _is_not_stored(error: MetricsError) -> bool:
    # The script looks at all that it will touch before it writes.
    if isinstance(error, StorageUnsoundError):
        return True
    return isinstance(error, StorageUnavailableError) and error.stored == "no"
