"""Key-hours are deleted on demand, and their messages stand in the audit as deleted."""

import time
from collections.abc import Callable

from metrics.connection import Connection, Script
from metrics.errors import BacklogError, NoDataError
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of

_DELETE = Script.named("delete")
_NOT_THERE, _WAITING = -1, -2
_SECONDS_PER_DAY = 86_400

HOURS_MAX = 20_000
"""So many hours of a key are looked for at once: Redis takes some milliseconds for them."""


class Deletion:
    """Deletes key-hours.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
        retention_days: How long a key-hour is kept.
        now: The clock, in Unix seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int,
        retention_days: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._partitions = partitions
        self._retention_s = retention_days * _SECONDS_PER_DAY
        self._now = now

    def delete(self, key: str, hour: Hour) -> int:
        """Delete a key-hour, and return how many messages it had: as many as its count says.

        A key that has no other hour leaves the known ones; one whose messages are in the backlog
        comes back with them. Where the retention has more than ``HOURS_MAX`` hours it stays.

        Raises:
            NoDataError: If there is no such key-hour.
            BacklogError: If messages of the hour are in the backlog of its partition.
            MetricsError: If Redis did not do it.
        """
        names = PartitionNames(partition_of(key, self._partitions))
        deleted = self._connection.ask(
            _DELETE.call(
                [
                    names.hour(key_hour(key, hour)),
                    *(names.stream, names.audit, names.backlog, names.keys),
                    *(names.hour(key_hour(key, each)) for each in self._hours()),
                ],
                [str(hour), key],
            )
        )
        if deleted == _NOT_THERE:
            raise NoDataError(f"no messages of {key} in {hour} UTC")
        if deleted == _WAITING:
            raise BacklogError(
                f"messages of {hour} UTC are in the backlog, and would count after the deletion: "
                "try again when the hour is complete"
            )
        return int(deleted)

    def _hours(self) -> list[Hour]:
        """Return all hours that a key may have; none if they are too many to look for."""
        now = self._now()
        # A timestamp may be some minutes ahead.
        first, last = Hour.of(now - self._retention_s).number, Hour.of(now).number + 1
        numbers = range(first, last + 1)
        return [Hour(number) for number in numbers] if len(numbers) <= HOURS_MAX else []
