"""The worker's side of the streams: entries are read, claimed, committed or dead-lettered."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics.aggregate import BUCKET_PREFIX, Aggregate
from metrics.connection import Call, Connection, Script, command
from metrics.entry import PendingEntry, messages_in, read_key_hour
from metrics.errors import MetricsError
from metrics.fold import Folded
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames
from metrics.node import Argument, Reply

NEW = b">"
"""Cursor of a read: entries that no consumer has got yet."""

START = b"0-0"
"""Cursor of a read: what is pending for this consumer, from the first. Of a claim: all of it."""

_COMMIT = Script.named("commit")
_DEAD_LETTER = Script.named("dead_letter")
_DELETE_IDLE_CONSUMERS = Script.named("delete_idle_consumers")
_SECONDS_PER_DAY = 86400


@dataclass(frozen=True, slots=True)
class Page:
    """Part of what can be claimed of a partition.

    Attributes:
        cursor: Where the next page begins; ``START`` if there is none.
        entries: What was claimed.
        has_gaps: Whether some of it was deleted and is still pending for this consumer.
    """

    cursor: bytes
    entries: Sequence[PendingEntry]
    has_gaps: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """Entries of one partition, and what they fold into."""

    partition: int
    entries: Sequence[PendingEntry]
    folded: Folded


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What was unusual about a commit that was done.

    Attributes:
        dead_messages: How many of its messages went to the dead stream.
        unsound: Hashes that are not sound, and in what; their messages are those.
        full: Counts that have reached the most they can be, and stay there.
    """

    dead_messages: int
    unsound: Sequence[str]
    full: Sequence[str]


class Backlog:
    """All partitions' streams, as one consumer sees them.

    Args:
        connection: The way to Redis.
        consumer: Name of the consumer; the same after a restart.
        retention_days: How long a key-hour is kept.
    """

    def __init__(self, connection: Connection, *, consumer: str, retention_days: int) -> None:
        self._connection = connection
        self._consumer = consumer
        self._retention_s = retention_days * _SECONDS_PER_DAY

    def create_groups(self, partitions: Iterable[int]) -> dict[int, MetricsError | None]:
        """Create the consumer groups that are missing.

        They begin at 0: what is committed is deleted, so whatever a stream holds is backlog.

        Returns:
            For each partition None if it has its group now, or what stands against it.
        """
        streams = {number: PartitionNames(number).stream for number in partitions}
        # Asked first, since a Redis that is out of memory creates none, and must drain.
        existing = self._connection.execute(
            [command("XINFO", "GROUPS", name, key=name) for name in streams.values()]
        )
        missing = [
            number
            for number, groups in zip(streams, existing, strict=True)
            if isinstance(groups, MetricsError)
            or not any(GROUP.encode() in info for info in groups)
        ]
        created = self._connection.execute(
            [
                command("XGROUP", "CREATE", name, GROUP, 0, "MKSTREAM", key=name)
                for name in map(streams.__getitem__, missing)
            ]
        )
        refusals = {
            number: reply
            for number, reply in zip(missing, created, strict=True)
            if isinstance(reply, MetricsError) and "BUSYGROUP" not in str(reply)
        }
        return {number: refusals.get(number) for number in streams}

    def read(
        self, cursors: Mapping[int, bytes], entries_max: int
    ) -> dict[int, list[PendingEntry] | MetricsError]:
        """Return what the streams have for this consumer, at most ``entries_max`` a partition.

        Args:
            cursors: Partition -> ``NEW``, or the id after which to read what is pending already.
            entries_max: How many to take from each.
        """
        replies = self._connection.execute(
            [
                command(
                    *("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", entries_max),
                    *("STREAMS", PartitionNames(number).stream, cursor),
                    key=PartitionNames(number).stream,
                )
                for number, cursor in cursors.items()
            ]
        )
        return {
            number: reply if isinstance(reply, MetricsError) else _pending_entries(reply)
            for number, reply in zip(cursors, replies, strict=True)
        }

    def claim(
        self, cursors: Mapping[int, bytes], entries_max: int, idle_ms: int
    ) -> dict[int, Page | MetricsError]:
        """Take over a page of what has been pending for longer than ``idle_ms``."""
        replies = self._connection.execute(
            [
                command(
                    *("XAUTOCLAIM", PartitionNames(number).stream, GROUP, self._consumer, idle_ms),
                    *(cursor, "COUNT", entries_max),
                )
                for number, cursor in cursors.items()
            ]
        )
        return {
            number: reply if isinstance(reply, MetricsError) else _page(reply)
            for number, reply in zip(cursors, replies, strict=True)
        }

    def commit(
        self, commits: Sequence[Commit], now: float
    ) -> list[bool | Exceptions | MetricsError]:
        """Apply each commit and take its entries out of the stream, or change nothing.

        Columns whose hash is not sound go to the dead stream instead, in the same step.

        Args:
            commits: What to commit; one atomic step each.
            now: Unix seconds.

        Returns:
            For each whether it was done; False if an entry is no longer this consumer's. If it
            was done, but not as usual, how.
        """
        replies = self._connection.execute([self._commit_call(commit, now) for commit in commits])
        return [_outcome(reply) for reply in replies]

    def deliveries_of(self, partition: int, entry: PendingEntry) -> int:
        """Return how often an entry has been delivered, 0 if it is not pending.

        Raises:
            MetricsError: If Redis did not say.
        """
        stream = PartitionNames(partition).stream
        pending = self._connection.ask(command("XPENDING", stream, GROUP, entry.id, entry.id, 1))
        return int(pending[0][3]) if pending else 0

    def dead_letter(self, partition: int, entry: PendingEntry, reason: str) -> bool:
        """Move an entry to the dead stream; return False if it is no longer this consumer's.

        Raises:
            MetricsError: If Redis did not do it.
        """
        names = PartitionNames(partition)
        hours = entry.hours
        messages = messages_in(entry.fields or ())
        dead_lettered = self._connection.ask(
            _DEAD_LETTER.call(
                [names.stream, names.audit, names.backlog, names.dead],
                [GROUP, self._consumer, entry.id, reason, messages, len(hours), *hours],
            )
        )
        return bool(dead_lettered == 1)

    def ack_deleted(self, partition: int, entries: Sequence[PendingEntry]) -> None:
        """Acknowledge entries that somebody deleted from the stream.

        Raises:
            MetricsError: If Redis did not do it.
        """
        ids = [entry.id for entry in entries]
        self._connection.ask(command("XACK", PartitionNames(partition).stream, GROUP, *ids))

    def delete_idle_consumers(self, partitions: Iterable[int], idle_ms: int) -> None:
        """Remove consumers that were idle for ``idle_ms`` and have nothing pending.

        Where Redis cannot do it now they stay, and do no harm.
        """
        self._connection.execute(
            [
                _DELETE_IDLE_CONSUMERS.call([PartitionNames(number).stream], [GROUP, idle_ms])
                for number in partitions
            ]
        )

    def _commit_call(self, commit: Commit, now: float) -> Call:
        names = PartitionNames(commit.partition)
        hours = Counter(hour for entry in commit.entries for hour in entry.hours)
        arguments: list[Argument] = [GROUP, self._consumer, commit.folded.messages]
        arguments += (Hour.of(now - self._retention_s).digits, len(commit.entries))
        arguments += (entry.id for entry in commit.entries)
        arguments.append(len(hours))
        for hour, entries in hours.items():
            arguments += (hour, entries)
        hashes = []
        for key_hour, aggregate in commit.folded.aggregates.items():
            key, hour_of_key = read_key_hour(key_hour)
            hashes.append(names.hour(key_hour.decode()))
            arguments += (key, hour_of_key.digits, hour_of_key.end + self._retention_s)
            arguments += (aggregate.dropped, aggregate.late)
            arguments += _numbers(aggregate)
        return _COMMIT.call(
            [names.stream, names.audit, names.backlog, names.keys, names.dead, *hashes], arguments
        )


def _numbers(aggregate: Aggregate) -> Iterable[Argument]:
    if not aggregate.count:
        yield 0
        return
    yield from (aggregate.count, repr(aggregate.sum), repr(aggregate.min), repr(aggregate.max))
    yield len(aggregate.histogram)
    for bucket, count in aggregate.histogram:
        yield from (f"{BUCKET_PREFIX}{bucket}", count)


def _outcome(reply: Reply | MetricsError) -> bool | Exceptions | MetricsError:
    if isinstance(reply, MetricsError):
        return reply
    if isinstance(reply, int):
        return reply == 1
    dead_messages, unsound, full = reply
    return Exceptions(dead_messages, _texts(unsound), _texts(full))


def _texts(items: Sequence[bytes]) -> list[str]:
    return [item.decode(errors="replace") for item in items]


def _pending_entries(reply: Reply) -> list[PendingEntry]:
    return [PendingEntry(id_, fields) for id_, fields in reply[0][1]] if reply else []


def _page(reply: Reply) -> Page:
    # Redis 6.2 has None in the place of an entry that was deleted; 7.0 drops it by itself.
    cursor, items = reply[0], reply[1]
    entries = [PendingEntry(*item) for item in items if item is not None]
    return Page(cursor, entries, has_gaps=len(entries) < len(items))
