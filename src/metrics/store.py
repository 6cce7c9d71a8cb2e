"""The query's side: the aggregates of what was asked for, and whether they are complete.

Its reads are in this order, each awaited before the next: the backlogs, the known keys if a prefix
is asked for, the hashes. What a backlog no longer holds, the reads after it find, wherever a slot
that moves has them meanwhile.

What reads many hashes is let in by an ``Admission``, a few at once.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Self

from metrics.aggregate import Aggregate
from metrics.backlog_counts import (
    BacklogCounts,
    backlog_calls,
    backlog_counts,
    read_backlog_counts,
)
from metrics.connection import Connection
from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.key_hours import KeyHour, KeyHours, length_calls, sized
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.known_keys import KnownKeys, TooManyKeysError
from metrics.merged import Merger

WILDCARD = "*"
"""At the end of a key that is asked for: all keys that begin with what stands before it."""

KEY_HOURS_MAX = 50_000
"""How many key-hours one question may touch."""

FIELDS_MAX = 12_000_000
"""How many fields of hashes one question may read."""

LENGTHS_PER_REPLY = 100
"""Of how many hashes the numbers of fields are asked for at once."""

SMALL_FIELDS = 20_000
SMALL_KEY_HOURS = 500
"""A question that reads no more is small: it waits for no other."""


@dataclass(frozen=True, slots=True)
class Result:
    """What Redis holds of what was asked for, in one hour or in some.

    Attributes:
        merger: What adds up the messages that are committed.
        keys: The keys that have any.
        is_drained: Whether no message of the hours is still in the backlog of a partition that
            was read.
        as_of: Every message that was accepted before is in it; Unix seconds by the clock of Redis.
    """

    merger: Merger
    keys: Set[str]
    is_drained: bool
    as_of: float

    @classmethod
    def whole(cls, results: Sequence[Self]) -> Self:
        """Return what some hours hold together; at least one."""
        merger = Merger()
        for each in results:
            merger.add_merged(each.merger)
        return cls(
            merger,
            keys=frozenset().union(*(each.keys for each in results)),
            is_drained=all(each.is_drained for each in results),
            as_of=min(each.as_of for each in results),
        )

    @property
    def aggregate(self) -> Aggregate:
        """The aggregate of the messages, put in order each time that it is asked for."""
        return self.merger.merged()


class Store:
    """Reads key-hours, in a number of round trips that does not depend on that of messages.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
        known_keys: The keys of prefixes; this has its own if there is none to share.
        large: What a question that is not small is done in; waits until there is room, or raises.
        pause: Called between pieces of a long read: others have a turn then.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int,
        known_keys: KnownKeys | None = None,
        large: AbstractContextManager[None] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._key_hours = KeyHours(connection, pause)
        self._partitions = partitions
        self._known_keys = known_keys or KnownKeys(connection, partitions=partitions)
        self._large = nullcontext() if large is None else large

    def read(self, key: str, hours: Sequence[Hour]) -> list[Result]:
        """Read what is known of a key, or of all keys with a prefix, in each of some hours.

        Args:
            key: A key; or a prefix, which may be empty, and ``*``.
            hours: The hours, from the first to the last.

        Returns:
            One result for each hour.

        Raises:
            InvalidQueryError: If that touches too much.
            OverloadedError: If it is large, and too many such are being answered.
            StorageUnavailableError: If any partition that may have such a key is away.
            StorageUnsoundError: If what is there is not ours.
        """
        if key.endswith(WILDCARD):
            return self._read_prefix(key, hours)
        return self._read_key(key, hours)

    def read_by_key(self, key: str, hours: Sequence[Hour]) -> dict[str, Merger]:
        """Read what some hours hold together, for each of the keys with a prefix.

        Args:
            key: A prefix, which may be empty, and ``*``.
            hours: The hours, from the first to the last.

        Raises:
            MetricsError: As ``read`` does.
        """
        newest = self._newest_hours(key, hours)
        hashes = (
            KeyHour(index, each, hour, self._hash_of(each, hour))
            for index, (each, digits) in enumerate(newest.items())
            for hour in hours
            if digits >= hour.digits
        )
        with self._sized(key, _count_key_hours(newest, hours), hashes) as found:
            added = self._key_hours.read(found, len(newest))
        return {each: of_key.merger for each, of_key in zip(newest, added, strict=True)}

    def _read_key(self, key: str, hours: Sequence[Hour]) -> list[Result]:
        hashes = list(self._hashes_of({key: hours[-1].digits}, hours))
        partitions = [partition_of(key, self._partitions)]
        calls = backlog_calls(partitions, hours)
        replies = self._connection.execute([*calls, *length_calls(hashes)])
        backlog = BacklogCounts.whole(backlog_counts(partitions, replies[: len(calls)]))
        # One that is empty is read as well: it may have been asked for before the backlog was.
        found = sized(hashes, replies[len(calls) :])
        fields = _fields_in(key, found)
        with self._large if fields > SMALL_FIELDS else nullcontext():
            return self._results(found, backlog)

    def _read_prefix(self, key: str, hours: Sequence[Hour]) -> list[Result]:
        backlog = BacklogCounts.whole(
            read_backlog_counts(self._connection, range(self._partitions), hours)
        )
        newest = self._newest_hours(key, hours)
        touched = _count_key_hours(newest, hours)
        with self._sized(key, touched, self._hashes_of(newest, hours)) as found:
            return self._results(found, backlog)

    @contextmanager
    def _sized(
        self, key: str, touched: int, hashes: Iterator[KeyHour]
    ) -> Iterator[list[tuple[KeyHour, int]]]:
        """Give those of the hashes that are there, with their sizes, once they may be read.

        Raises:
            InvalidQueryError: If they are too many, or too large.
            OverloadedError: If they are many, and too many such questions are being answered.
        """
        if touched > KEY_HOURS_MAX:
            raise _too_much(key, f"{touched} key-hours", KEY_HOURS_MAX)
        with ExitStack() as stack:
            is_large = touched > SMALL_KEY_HOURS
            if is_large:
                stack.enter_context(self._large)
            found: list[tuple[KeyHour, int]] = []
            while some := list(islice(hashes, LENGTHS_PER_REPLY)):
                found += [each for each in self._key_hours.sizes(some) if each[1]]
            if _fields_in(key, found) > SMALL_FIELDS and not is_large:
                stack.enter_context(self._large)
            yield found

    def _newest_hours(self, key: str, hours: Sequence[Hour]) -> dict[str, int]:
        prefix = key.removesuffix(WILDCARD)
        try:
            return self._known_keys.newest_hours(
                prefix, hours[0], hours[-1], keys_max=KEY_HOURS_MAX
            )
        except TooManyKeysError as error:
            # Each touches one hour at least.
            raise _too_much(key, f"{error.count} key-hours", KEY_HOURS_MAX) from error

    def _hashes_of(self, newest: Mapping[str, int], hours: Sequence[Hour]) -> Iterator[KeyHour]:
        """Yield the hashes of keys up to the newest hour of each, in digits."""
        for index, hour in enumerate(hours):
            since = hour.digits
            for key, digits in newest.items():
                if digits >= since:
                    yield KeyHour(index, key, hour, self._hash_of(key, hour))

    def _hash_of(self, key: str, hour: Hour) -> str:
        partition = PartitionNames(partition_of(key, self._partitions))
        return partition.hour(key_hour(key, hour))

    def _results(
        self, sized: Sequence[tuple[KeyHour, int]], backlog: BacklogCounts
    ) -> list[Result]:
        added = self._key_hours.read(sized, len(backlog.entries))
        return [
            Result(
                *(each.merger, each.keys, not entries),
                as_of=min(backlog.oldest_s, backlog.time_s) if entries else backlog.time_s,
            )
            for each, entries in zip(added, backlog.entries, strict=True)
        ]


def _count_key_hours(newest: Mapping[str, int], hours: Sequence[Hour]) -> int:
    """Return how many of the hours keys have, up to the newest of each."""
    starts = [hour.digits for hour in hours]
    return sum(bisect_right(starts, digits) for digits in newest.values())


def _fields_in(key: str, sized: Iterable[tuple[KeyHour, int]]) -> int:
    """Return how many fields there are to read.

    Raises:
        InvalidQueryError: If they are too many.
    """
    fields = sum(size for _, size in sized)
    if fields > FIELDS_MAX:
        raise _too_much(key, f"{fields} fields of hashes", FIELDS_MAX)
    return fields


def _too_much(key: str, touched: str, limit: int) -> InvalidQueryError:
    narrower = "a longer prefix" if key.endswith(WILDCARD) else "fewer hours"
    return InvalidQueryError(
        f"{key} touches {touched} and one question may touch {limit}: ask for {narrower}"
    )
