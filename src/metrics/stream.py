"""The collector's side of the streams: batches are appended, each at most once."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from typing import Self

import msgspec

from metrics.connection import Call, Connection, Script
from metrics.entry import LARGE_COLUMNS, Column, Entry, pack, write_values
from metrics.errors import (
    IdempotencyConflictError,
    MetricsError,
    PartlyStoredError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.idempotency import IdempotencyKey, Reservation, conflict, not_ours
from metrics.keyspace import PartitionNames
from metrics.layout import Layout
from metrics.node import Argument, Reply
from metrics.nonce import new_nonce
from metrics.settings import Settings

_APPEND = Script.named("append")


class Batch(msgspec.Struct, frozen=True):
    """The good messages and loss reports of one request, by partition; at least one.

    A struct, since it is made in a tenth of the time that a frozen dataclass takes.

    Attributes:
        columns: Partition -> its columns.
        idempotency_key: How a repetition is recognised, if the sender gave one.
    """

    columns: dict[int, list[Column]]
    idempotency_key: IdempotencyKey | None = None

    @property
    def length(self) -> int:
        """How long its text is."""
        return sum([len(column.text) for columns in self.columns.values() for column in columns])


class SingleMessage(msgspec.Struct, frozen=True, gc=False):
    """One message that comes alone, without a key: many of them become one batch.

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


Item = Batch | SingleMessage | Reservation
"""What is sent to Redis together with others."""


class _PartitionAppend:
    """What one script call appends: each batch under a key by itself, all others as one."""

    __slots__ = ("apart", "columns", "with_key", "without_key")

    def __init__(self) -> None:
        self.with_key: list[tuple[int, IdempotencyKey, list[Entry]]] = []
        self.without_key: list[int] = []
        self.columns: list[Column] = []
        # Workers commit small entries first; so what is large does not lie in one with others.
        self.apart: list[Entry] = []


class AppendCalls:
    """Batches that are appended together: one call per partition, whatever their number.

    Args:
        batches: What to append.
        backlog_limit_entries: How many entries a stream may hold.
        window_s: The dedupe window.
        new_nonce: Returns a number that makes ids of entries unique, of ``NONCE_BITS`` bits.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        *,
        backlog_limit_entries: int,
        window_s: int,
        new_nonce: Callable[[], int] = new_nonce,
    ) -> None:
        # One for all streams: in each of them it comes once.
        self._nonce = new_nonce()
        self._batches = batches
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._partitions: dict[int, _PartitionAppend] = {}
        for i, batch in enumerate(batches):
            for partition, columns in batch.columns.items():
                group = self._partitions.get(partition)
                if group is None:
                    group = self._partitions[partition] = _PartitionAppend()
                if batch.idempotency_key is not None:
                    group.with_key.append((i, batch.idempotency_key, pack(columns)))
                else:
                    group.without_key.append(i)
                    if len(columns) > LARGE_COLUMNS:
                        group.apart += pack(columns)
                    else:
                        group.columns += columns
        self.calls: list[Call] = [
            self._call(number, group) for number, group in self._partitions.items()
        ]

    def read_replies(self, replies: Sequence[Reply | MetricsError]) -> list[Failures]:
        """Return for each batch the partitions that did not take its messages, and why."""
        failures: list[Failures] = [{} for _ in self._batches]
        for (number, group), reply in zip(self._partitions.items(), replies, strict=True):
            members = [[i] for i, _, _ in group.with_key]
            if group.without_key:
                members.append(group.without_key)
            for k, indexes in enumerate(members):
                result = reply if isinstance(reply, MetricsError) else reply[k]
                for i in indexes:
                    error = self._error(number, i, result)
                    if error is not None:
                        failures[i][number] = error
        return failures

    def _call(self, number: int, group: _PartitionAppend) -> Call:
        names = _names(number)
        if group.with_key:
            names += tuple(
                PartitionNames(number).seen(idempotency_key.name)
                for _, idempotency_key, _ in group.with_key
            )
        batches: list[tuple[Argument, list[Entry]]] = [
            (idempotency_key.fingerprint, entries) for _, idempotency_key, entries in group.with_key
        ]
        if group.without_key:
            batches.append(("", pack(group.columns, LARGE_COLUMNS) + group.apart))
        arguments: list[Argument] = [self._limit, self._window_s, self._nonce, len(batches)]
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
        idempotency_key = self._batches[i].idempotency_key
        if result == -1 and idempotency_key is not None:
            # Its body was compared before, in the home partition if that could be asked.
            return conflict(idempotency_key, or_else=", or when some keys had no room")
        if result == -3 and idempotency_key is not None:
            return not_ours(PartitionNames(partition).seen(idempotency_key.name))
        if result == -2:
            return StorageUnavailableError(f"the backlog of partition {partition} is at its limit")
        return None


@cache
def _names(partition: int) -> tuple[str, ...]:
    """Return the names that each append touches."""
    names = PartitionNames(partition)
    return names.stream, names.audit, names.backlog


class Appender:
    """Sends batches and reservations to Redis together; each has an outcome of its own.

    Args:
        connection: The way to Redis.
        ensure_layout: Checks that Redis holds what this process expects.
        backlog_limit_entries: How many entries a stream may hold.
        window_s: The dedupe window.
        replicas: How many replicas must have a batch before it counts as stored.
        new_nonce: Returns a number that makes ids of entries unique, of ``NONCE_BITS`` bits.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        ensure_layout: Callable[[], None],
        backlog_limit_entries: int,
        window_s: int,
        replicas: int = 0,
        new_nonce: Callable[[], int] = new_nonce,
    ) -> None:
        self._new_nonce = new_nonce
        self._connection = connection
        self._ensure_layout = ensure_layout
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._replicas = replicas

    @classmethod
    def of(cls, connection: Connection, settings: Settings, layout: Layout) -> Self:
        """Return the appender of a process."""
        return cls(
            connection,
            ensure_layout=layout.ensure,
            backlog_limit_entries=settings.backlog_limit_entries,
            window_s=settings.dedupe_seconds,
            replicas=settings.wait_replicas,
        )

    def send(self, items: Sequence[Item]) -> list[Failures | float | MetricsError]:
        """Send all items in one go, and wait for Redis.

        Returns:
            For each batch and single message its failures, for each reservation the arrival of
            the first request, or what stands against this one.

        Raises:
            MetricsError: If Redis is not what this process expects; nothing is stored then.
        """
        self._ensure_layout()
        singles = [item for item in items if isinstance(item, SingleMessage)]
        batches = [item for item in items if isinstance(item, Batch)]
        if singles:
            batches.append(_batch_of(singles))
        group = AppendCalls(
            batches,
            backlog_limit_entries=self._limit,
            window_s=self._window_s,
            new_nonce=self._new_nonce,
        )
        reservations = [item for item in items if isinstance(item, Reservation)]
        calls = [*group.calls, *(call for each in reservations for call in each.calls)]
        replies = iter(self._connection.execute(calls, replicas=self._replicas))
        failures = group.read_replies(list(islice(replies, len(group.calls))))
        of_singles = failures.pop() if singles else {}
        of_batches = iter(failures)
        arrivals = iter(
            [each.read_replies(list(islice(replies, len(each.calls)))) for each in reservations]
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
