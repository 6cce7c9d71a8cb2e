"""The collector's side of the streams: batches are registered and appended, each at most once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from metrics.connection import Call, Script, command, done
from metrics.entry import Column, Entry, pack
from metrics.errors import (
    IdempotencyConflictError,
    MetricsError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.keyspace import Partition, partition_of
from metrics.node import Argument, Reply

_APPEND = Script.named("append")


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes the repetition of a batch recognisable.

    Attributes:
        name: Its idempotency key; unique to its sender.
        digest: Of its body.
    """

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The good messages of one request, by partition; at least one.

    Attributes:
        columns: Partition -> its columns.
        mark: How a repetition is recognised, if the sender gave an idempotency key.
    """

    columns: dict[int, list[Column]]
    mark: Mark | None = None


class Registration:
    """The first use of an idempotency key: which body came under it, and when.

    Partitions keep marks of their own; but a second body under the same key may touch others than
    the first did. So each key also has a home, where its first body is written down before
    anything is appended. Nothing counts as stored because of it.
    """

    def __init__(self, mark: Mark, arrival: float, *, partitions: int, window_s: int) -> None:
        """Prepare it.

        Args:
            mark: The batch's.
            arrival: When this request came, in Unix seconds.
            partitions: How many there are.
            window_s: The dedupe window.
        """
        self._mark = mark
        self._arrival = arrival
        home = Partition(partition_of(mark.name, partitions)).batch(mark.name)
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
                return StorageUnavailableError(str(reply), stored="no")
        text: bytes | None = done(replies[1])
        if text is None:  # it expired just now
            return self._arrival
        digest, _, arrival = text.decode(errors="replace").partition(" ")
        return float(arrival) if digest == self._mark.digest else _conflict(self._mark)


@dataclass(slots=True)
class _PartitionGroup:
    """What one script call appends: the marked batches one by one, all others as one."""

    marked: list[tuple[int, Mark, list[Entry]]] = field(default_factory=list)
    unmarked: list[int] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)


class Group:
    """Batches that are appended together: one call per partition, whatever their number."""

    def __init__(
        self, batches: Sequence[Batch], *, backlog_limit_entries: int, window_s: int
    ) -> None:
        """Prepare the calls.

        Args:
            batches: What to append.
            backlog_limit_entries: How many entries a stream may hold.
            window_s: The dedupe window.
        """
        self._batches = batches
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._partitions: dict[int, _PartitionGroup] = {}
        for i, batch in enumerate(batches):
            for partition, columns in batch.columns.items():
                group = self._partitions.setdefault(partition, _PartitionGroup())
                if batch.mark is not None:
                    group.marked.append((i, batch.mark, pack(columns)))
                else:
                    group.unmarked.append(i)
                    group.columns += columns
        self.calls: list[Call] = [
            self._call(Partition(number), group) for number, group in self._partitions.items()
        ]

    def settle(self, replies: Sequence[Reply | MetricsError]) -> list[MetricsError | None]:
        """Return for each batch what kept it from being stored, or None."""
        failures: list[list[MetricsError]] = [[] for _ in self._batches]
        for (number, group), reply in zip(self._partitions.items(), replies, strict=True):
            members = [[i] for i, _, _ in group.marked]
            if group.unmarked:
                members.append(group.unmarked)
            for k, indexes in enumerate(members):
                result = reply if isinstance(reply, MetricsError) else reply[k]
                for i in indexes:
                    error = self._error(number, i, result)
                    if error is not None:
                        failures[i].append(error)
        return [
            _worst(errors, len(batch.columns))
            for errors, batch in zip(failures, self._batches, strict=True)
        ]

    def _call(self, partition: Partition, group: _PartitionGroup) -> Call:
        names = [partition.stream, partition.audit, partition.backlog]
        names += [partition.seen(mark.name) for _, mark, _ in group.marked]
        batches = [(mark.digest, entries) for _, mark, entries in group.marked]
        if group.unmarked:
            batches.append(("", pack(group.columns)))
        arguments: list[Argument] = [self._limit, self._window_s, len(batches)]
        for digest, entries in batches:
            arguments += (digest, sum(entry.messages for entry in entries), len(entries))
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
        if result == -2:
            return StorageUnavailableError(f"the backlog of partition {partition} is at its limit")
        return None


def _conflict(mark: Mark) -> IdempotencyConflictError:
    return IdempotencyConflictError(f"Idempotency-Key {mark.name!r} was used for another body")


def _worst(errors: Sequence[MetricsError], partitions: int) -> MetricsError | None:
    """Return one error for a batch of which some partitions failed."""
    if not errors:
        return None
    for error in errors:
        if isinstance(error, IdempotencyConflictError):
            return error
    is_nothing_stored = len(errors) == partitions and all(map(_is_not_stored, errors))
    return StorageUnavailableError(str(errors[0]), stored="no" if is_nothing_stored else "unknown")


def _is_not_stored(error: MetricsError) -> bool:
    # The script looks at all that it will touch before it writes.
    if isinstance(error, StorageUnsoundError):
        return True
    return isinstance(error, StorageUnavailableError) and error.stored == "no"
