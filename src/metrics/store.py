"""The query's side: the aggregates of what was asked for, and whether they are complete.

Its reads are in this order, each awaited before the next: the backlogs, the known keys if a prefix
is asked for, the hashes. What a backlog no longer holds, the reads after it find, wherever a slot
that moves has them meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

from metrics.aggregate import DROPPED_FIELD, Aggregate, dropped_in
from metrics.connection import Connection, command, done
from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.keyspace import Partition, key_hour, partition_of
from metrics.known_keys import KnownKeys
from metrics.merged import Merged, merged
from metrics.node import Reply

ANY = "*"
"""At the end of a key that is asked for: all keys that begin with what stands before it."""

KEY_HOURS_MAX = 10_000
"""How many key-hours one question may touch."""

HASHES_PER_REPLY = 100
"""How many hashes are asked for at once: a few hundred KB, which the CPU can keep at hand."""


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis holds of what was asked for, in one hour.

    Attributes:
        aggregate: Of the messages that are committed; None if there are none.
        keys: How many keys have messages.
        dropped: How many messages their senders dropped, and said so.
        is_drained: Whether no message of the hour is still in the backlog of a partition that
            was read.
    """

    aggregate: Aggregate | None
    keys: int
    dropped: int
    is_drained: bool

    def merged_with(self, other: Self) -> Self:
        """Return what was found of both."""
        aggregate = self.aggregate or other.aggregate
        if self.aggregate and other.aggregate:
            aggregate = self.aggregate.merged_with(other.aggregate)
        return type(self)(
            aggregate,
            self.keys + other.keys,
            self.dropped + other.dropped,
            self.is_drained and other.is_drained,
        )


class Store:
    """Reads key-hours, in a number of round trips that does not depend on that of messages."""

    def __init__(self, connection: Connection, *, partitions: int) -> None:
        self._connection = connection
        self._partitions = partitions
        self._known_keys = KnownKeys(connection, partitions=partitions)

    def read(self, key: str, hours: Sequence[Hour]) -> list[Found]:
        """Return what is known of a key, or of all keys with a prefix, in each of some hours.

        Args:
            key: A key; or a prefix, which may be empty, and ``*``.
            hours: The hours, from the first to the last.

        Raises:
            InvalidQueryError: If that touches too many key-hours.
            StorageUnavailableError: If any partition that may have such a key is away.
            StorageUnsoundError: If what is there is not ours.
        """
        are_drained = self._are_drained(self._partitions_of(key), hours)
        newest = self._newest_hours(key, hours)
        keys = [[each for each in newest if newest[each] >= hour] for hour in hours]
        touched = sum(map(len, keys))
        if touched > KEY_HOURS_MAX:
            raise InvalidQueryError(
                f"{key} touches {touched} key-hours and one question may touch {KEY_HOURS_MAX}: "
                "ask for a longer prefix"
            )
        hashes = self._hashes(
            [
                self._partition(each).hour(key_hour(each, hour))
                for hour, asked in zip(hours, keys, strict=True)
                for each in asked
            ]
        )
        return [
            _found(islice(hashes, len(asked)), is_drained=is_drained)
            for asked, is_drained in zip(keys, are_drained, strict=True)
        ]

    def _partition(self, key: str) -> Partition:
        return Partition(partition_of(key, self._partitions))

    def _partitions_of(self, key: str) -> list[Partition]:
        if key.endswith(ANY):
            return [Partition(number) for number in range(self._partitions)]
        return [self._partition(key)]

    def _newest_hours(self, key: str, hours: Sequence[Hour]) -> dict[str, Hour]:
        """Return the keys to read, and up to which hour each may have messages."""
        if key.endswith(ANY):
            return self._known_keys.read(key.removesuffix(ANY))
        return {key: hours[-1]}

    def _are_drained(self, partitions: Sequence[Partition], hours: Sequence[Hour]) -> list[bool]:
        """Return for each hour whether no partition has messages of it in its backlog."""
        calls = [
            call
            for each in partitions
            for call in (
                command("XLEN", each.stream),
                *(command("HGET", each.backlog, str(hour)) for hour in hours),
            )
        ]
        replies = [done(reply) for reply in self._connection.execute(calls)]
        width = 1 + len(hours)
        return [
            all(
                length == 0 or not int(entries or 0)
                for length, entries in zip(replies[::width], replies[i::width], strict=True)
            )
            for i in range(1, width)
        ]

    def _hashes(self, names: Sequence[str]) -> Iterator[Reply]:
        """Yield the fields and values of each hash; there are none if it is not there."""
        for i in range(0, len(names), HASHES_PER_REPLY):
            calls = [command("HGETALL", name) for name in names[i : i + HASHES_PER_REPLY]]
            yield from map(done, self._connection.execute(calls))


def _found(hashes: Iterator[Reply], *, is_drained: bool) -> Found:
    """Return what some key-hours of one hour hold together."""
    found = Found(None, 0, 0, is_drained)
    while some := list(islice(hashes, HASHES_PER_REPLY)):
        new = merged(some) if len(some) > 1 else _only(some[0])
        found = found.merged_with(Found(new.aggregate, new.keys, new.dropped, is_drained))
    return found


def _only(items: Reply) -> Merged:
    """Return what one key-hour holds."""
    fields = dict(zip(items[::2], items[1::2], strict=True))
    dropped = dropped_in(fields)
    if not fields.keys() - {DROPPED_FIELD}:
        return Merged(None, 0, dropped)
    return Merged(Aggregate.from_hash(fields), 1, dropped)
