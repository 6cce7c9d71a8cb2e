"""The last complete hour of each key: what is over, and counted as a whole."""

from collections.abc import Iterator, Sequence

from metrics.aggregate import Aggregate
from metrics.backlog_counts import read_backlog_counts
from metrics.connection import Connection
from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.key_hours import KeyHour, KeyHours
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.known_keys import KnownKeys, TooManyKeysError
from metrics.settings import Settings

HOURS_BACK = 24
"""How old an hour may be that is still the last of its key."""

KEYS_MAX = 10_000
"""How many keys one question may be about."""

KEYS_AT_ONCE = 100
"""Of how many keys the numbers of fields are asked for at once."""


class LastHours:
    """Finds the last complete hour of keys, and reads it.

    Args:
        connection: The way to Redis.
        known_keys: Which keys there are.
        settings: Of the process.
    """

    def __init__(self, connection: Connection, known_keys: KnownKeys, settings: Settings) -> None:
        self._connection = connection
        self._key_hours = KeyHours(connection)
        self._known_keys = known_keys
        self._partitions = settings.partitions
        self._lateness_s = settings.lateness_seconds

    def read(self, prefixes: Sequence[str], now: float) -> Iterator[tuple[str, Hour, Aggregate]]:
        """Read the last complete hour of the last day, of each key that has one.

        Args:
            prefixes: The keys begin with one of these, none of which begins another.
            now: The time before anything is read, in Unix seconds.

        Returns:
            The keys, those whose hour is newest first, each with that hour and its aggregate.

        Raises:
            InvalidQueryError: If the keys are too many.
            StorageUnavailableError: If any partition is away.
            StorageUnsoundError: If what is there is not ours.
        """
        last = Hour.of(now - self._lateness_s).number - 1
        hours = [Hour(number) for number in range(last - HOURS_BACK + 1, last + 1)]
        drained = self._are_drained(hours)
        waiting = self._newest_hours(prefixes, hours[0], Hour.of(now))
        for i in reversed(range(len(hours))):
            hour = hours[i]
            # A key has nothing after its newest hour, and perhaps nothing in one before it.
            keys = [
                key
                for key, newest in waiting.items()
                if newest >= hour.digits and drained[self._partition_of(key)][i]
            ]
            for key, aggregate in self._read(keys, hour):
                if aggregate.count:
                    del waiting[key]
                    yield key, hour, aggregate

    def _are_drained(self, hours: Sequence[Hour]) -> list[list[bool]]:
        """Return for each partition and hour whether no message of it is in the backlog."""
        found = read_backlog_counts(self._connection, range(self._partitions), hours)
        return [[not entries for entries in each.entries] for each in found]

    def _read(self, keys: Sequence[str], hour: Hour) -> Iterator[tuple[str, Aggregate]]:
        """Read an hour of keys, each by itself, a piece at a time, if they have it."""
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = [
                KeyHour(
                    i, key, hour, PartitionNames(self._partition_of(key)).hour(key_hour(key, hour))
                )
                for i, key in enumerate(keys[start : start + KEYS_AT_ONCE])
            ]
            there = [each for each in self._key_hours.sizes(some) if each[1]]
            found = self._key_hours.read(there, len(some))
            for each, _ in there:
                yield each.key, found[each.index].merger.merged()

    def _partition_of(self, key: str) -> int:
        return partition_of(key, self._partitions)

    def _newest_hours(self, prefixes: Sequence[str], first: Hour, last: Hour) -> dict[str, int]:
        found: dict[str, int] = {}
        try:
            for prefix in prefixes:
                found |= self._known_keys.newest_hours(
                    prefix, first, last, keys_max=KEYS_MAX - len(found)
                )
        except TooManyKeysError as error:
            raise InvalidQueryError(
                f"{error.count + len(found)} keys or more have messages of the last day, and one "
                f"question may be about {KEYS_MAX}: ask for a longer ?prefix="
            ) from error
        return found
