"""The keys that Redis knows, and the newest hour of each.

Each partition has a sorted set: key -> newest hour. It is not in the order of the keys, and may
be long; so a process remembers what it read. Before each answer it asks whether that still holds,
which takes three short commands a partition, and reads again only those where it does not:

- Keys are removed by deletions, which are counted, and by commits, all below some hour at once
  (``ZREMRANGEBYSCORE``). So while that count is as it was, and the lowest hour of a set is not
  above that of what was read, nothing of it was removed.
- Then as many keys as were read are the same keys. One more is new.
- Hours only rise. As many keys from an hour on as were read are those that were read.

What somebody changes by hand is seen after ``AGE_MAX_S`` at the latest.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from heapq import merge
from itertools import islice, repeat
from threading import Lock

from metrics.connection import Connection, command, done
from metrics.errors import InvalidQueryError, StorageUnsoundError
from metrics.hours import Hour
from metrics.key_index import NEVER_READ, KeyIndex
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Reply

KEYS_PER_REPLY = 4_000
"""About how many keys Redis looks through before it does the work of others."""

AGE_MAX_S = 60.0
"""After this long the keys of a partition are read again, whether they look changed or not."""


class TooManyKeysError(InvalidQueryError):
    """More keys than may be asked for.

    Attributes:
        count: How many they are.
    """

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} keys")
        self.count = count


class KnownKeys:
    """Knows which keys have messages, in all partitions. Safe for threads and greenlets.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
        monotonic: The clock of what was read, in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._partitions = [PartitionNames(number) for number in range(partitions)]
        self._monotonic = monotonic
        self._known = [NEVER_READ] * partitions
        self._reading = Lock()

    def page(self, prefixes: Sequence[str], after: str, length: int) -> list[tuple[str, Hour]]:
        """Return the first keys after ``after``, in order, each with its newest hour.

        Args:
            prefixes: They begin with one of these, none of which begins another.
            after: A key, or empty.
            length: How many keys to return, if there are so many.

        Raises:
            StorageUnavailableError: If any partition is away.
            StorageUnsoundError: If what is there are no keys of ours.
        """
        known = self._up_to_date(None)
        keys = merge(*(each.keys_of(prefix, after) for prefix in prefixes for each in known))
        found: list[tuple[str, Hour]] = []
        while len(found) < length and (some := list(islice(keys, length - len(found)))):
            found += self._with_newest_hours(some)
        return found

    def newest_hours(
        self, prefix: str, first: Hour, last: Hour, *, keys_max: int
    ) -> dict[str, int]:
        """Return the keys with ``prefix`` that have messages of ``first`` or a later hour.

        A key that Redis knows when this is called is among them.

        Returns:
            For each its newest hour in digits, right as far as ``last``.

        Raises:
            TooManyKeysError: If they are more than ``keys_max``.
            StorageUnavailableError: If any partition is away.
            StorageUnsoundError: If what is there are no keys of ours.
        """
        since = first.digits
        known = self._up_to_date(first)
        count = sum(each.count_of(prefix, since) for each in known)
        if count > keys_max:
            raise TooManyKeysError(count)
        found: dict[str, int] = {}
        for each in known:
            found |= each.newest_of(prefix, since)
        if first < last:
            until = last.digits
            risen = [key for key, newest in found.items() if newest < until]
            for i in range(0, len(risen), KEYS_PER_REPLY):
                some = self._with_newest_hours(risen[i : i + KEYS_PER_REPLY])
                found |= {key: hour.digits for key, hour in some}
        return found

    def _up_to_date(self, hour: Hour | None) -> Sequence[KeyIndex]:
        """Return the keys of all partitions, and rightly which of them are as new as ``hour``."""
        known = list(self._known)
        if not self._outdated(known, hour):
            return known
        # Who comes meanwhile finds what this one reads.
        with self._reading:
            known = list(self._known)
            outdated = self._outdated(known, hour)
            for some in self._batches({i: size for i, (size, _) in outdated.items()}):
                read_at = self._monotonic()
                for i, newest in self._read(some).items():
                    known[i] = self._known[i] = KeyIndex.of(newest, read_at, outdated[i][1])
        return known

    def _outdated(
        self, known: Sequence[KeyIndex], hour: Hour | None
    ) -> dict[int, tuple[int, bytes | None]]:
        """Return the partitions that must be read again.

        Returns:
            For each how many keys it has, and how many deletions have removed so far.
        """
        calls = []
        for each in self._partitions:
            calls.append(command("ZCARD", each.keys))
            calls.append(command("ZRANGE", each.keys, 0, 0, "WITHSCORES"))
            calls.append(command("HGET", each.audit, "removed_keys"))
            if hour is not None:
                calls.append(command("ZCOUNT", each.keys, hour.digits, "+inf"))
        replies = map(done, self._connection.execute(calls))
        sizes: list[tuple[int, bytes | None]] = []
        outdated = set()
        for i, read in enumerate(known):
            size, lowest, removed, *since = islice(replies, 3 if hour is None else 4)
            sizes.append((size, removed))
            if (
                removed != read.removed
                or size != len(read.keys)
                or (size and self._is_removed_from(i, read, lowest))
                or (hour is not None and since != [read.count_since(hour.digits)])
            ):
                outdated.add(i)
        # One at a time: nobody should wait for all of them.
        oldest = min(range(len(known)), key=lambda i: known[i].read_at)
        if self._monotonic() - known[oldest].read_at > AGE_MAX_S:
            outdated.add(oldest)
        return {i: sizes[i] for i in sorted(outdated)}

    def _is_removed_from(self, i: int, read: KeyIndex, lowest: Reply) -> bool:
        """Return whether keys of a partition are gone, by the lowest of those that it has."""
        if not lowest:
            # All of them, since their number was asked for.
            return True
        try:
            return bool(_digits(lowest[1]) > read.ordered[0])
        except ValueError as error:
            raise _unsound(self._partitions[i], error) from error

    @staticmethod
    def _batches(sizes: dict[int, int]) -> Iterator[list[int]]:
        """Yield partitions that are read together: large ones alone."""
        batch: list[int] = []
        for i, size in sizes.items():
            if batch and sum(sizes[each] for each in batch) + size > KEYS_PER_REPLY:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _read(self, partitions: Sequence[int]) -> dict[int, dict[str, int]]:
        """Return the newest hours of the keys of some partitions.

        A key that is known from the beginning of the read to its end is in it.

        Source:
            Redis commands, SCAN, "Scan guarantees".
        """
        found: dict[int, dict[str, int]] = {i: {} for i in partitions}
        cursors = dict.fromkeys(partitions, b"0")
        while cursors:
            replies = self._connection.execute(
                [
                    command("ZSCAN", self._partitions[i].keys, at, "COUNT", KEYS_PER_REPLY)
                    for i, at in cursors.items()
                ]
            )
            for i, reply in zip(list(cursors), replies, strict=True):
                cursors[i], items = done(reply)
                found[i] |= _newest_hours(self._partitions[i], items)
            cursors = {i: at for i, at in cursors.items() if at != b"0"}
        return found

    def _with_newest_hours(self, keys: Sequence[str]) -> list[tuple[str, Hour]]:
        """Return keys with their newest hours; without those that are no longer known."""
        places: dict[int, list[str]] = {}
        for key in keys:
            places.setdefault(partition_of(key, len(self._partitions)), []).append(key)
        replies = self._connection.execute(
            [command("ZMSCORE", self._partitions[i].keys, *some) for i, some in places.items()]
        )
        newest: dict[str, Hour] = {}
        for (i, some), reply in zip(places.items(), replies, strict=True):
            try:
                newest |= {
                    key: _hour(score)
                    for key, score in zip(some, done(reply), strict=True)
                    if score is not None
                }
            except ValueError as error:
                raise _unsound(self._partitions[i], error) from error
        return [(key, newest[key]) for key in keys if key in newest]


def _newest_hours(partition: PartitionNames, items: Reply) -> dict[str, int]:
    keys, scores = map(str, items[::2], repeat("ascii")), map(_digits, items[1::2])
    try:
        return dict(zip(keys, scores, strict=True))
    except ValueError as error:
        raise _unsound(partition, error) from error


def _unsound(partition: PartitionNames, error: ValueError) -> StorageUnsoundError:
    return StorageUnsoundError(f"{partition.keys} is not sound: {error}")


# Many keys have the same newest hour.
@lru_cache(maxsize=1024)
def _hour(score: bytes) -> Hour:
    """Return the hour that a score writes as 2026112314.

    Raises:
        ValueError: If it writes none.
    """
    return Hour.of_digits(int(score))


@lru_cache(maxsize=1024)
def _digits(score: bytes) -> int:
    return _hour(score).digits
