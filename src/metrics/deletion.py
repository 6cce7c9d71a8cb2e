"""Key-hours are deleted on demand, and their messages stand in the audit as deleted."""

from metrics.connection import Connection, Script
from metrics.errors import BacklogError, NoDataError
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of

_DELETE = Script.named("delete")
_NOT_THERE, _WAITING = -1, -2


class Deletion:
    """Deletes key-hours.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
    """

    def __init__(self, connection: Connection, *, partitions: int) -> None:
        self._connection = connection
        self._partitions = partitions

    def delete(self, key: str, hour: Hour) -> int:
        """Delete a key-hour, and return how many messages it had: as many as its count says.

        The key stays among the known ones until its newest hour leaves the retention.

        Raises:
            NoDataError: If there is no such key-hour.
            BacklogError: If messages of the hour are in the backlog of its partition.
            MetricsError: If Redis did not do it.
        """
        names = PartitionNames(partition_of(key, self._partitions))
        deleted = self._connection.ask(
            _DELETE.call(
                [names.hour(key_hour(key, hour)), names.stream, names.audit, names.backlog],
                [str(hour)],
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
