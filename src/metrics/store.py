"""The query's side: the aggregate of a key-hour, and whether it is complete."""

from dataclasses import dataclass

from metrics.aggregate import Aggregate
from metrics.connection import Connection, command, done
from metrics.errors import NoDataError
from metrics.hours import Hour
from metrics.keyspace import Partition, key_hour, partition_of


@dataclass(frozen=True, slots=True)
class KeyHour:
    """What Redis holds of one key in one hour.

    Attributes:
        aggregate: Of the messages that are committed.
        is_drained: Whether no message of the hour is still in the backlog of its partition.
    """

    aggregate: Aggregate
    is_drained: bool


class Store:
    """Reads key-hours; two round trips each, whatever the number of messages."""

    def __init__(self, connection: Connection, *, partitions: int) -> None:
        self._connection = connection
        self._partitions = partitions

    def read(self, key: str, hour: Hour) -> KeyHour:
        """Return what is known of a key-hour.

        Raises:
            NoDataError: If it has no messages.
            StorageUnavailableError: If Redis is away.
            StorageUnsoundError: If its hash is not one of ours.
        """
        partition = Partition(partition_of(key, self._partitions))
        # The backlog first, and its answer awaited: what it no longer holds, the hash that is read
        # after it does, wherever a slot that moves has them meanwhile.
        length, entries = (
            done(reply)
            for reply in self._connection.execute(
                [
                    command("XLEN", partition.stream),
                    command("HGET", partition.backlog, str(hour)),
                ]
            )
        )
        fields = self._connection.ask(command("HGETALL", partition.hour(key_hour(key, hour))))
        if not fields:
            raise NoDataError(f"no messages of {key} in {hour} UTC")
        return KeyHour(
            aggregate=Aggregate.from_hash(dict(zip(fields[::2], fields[1::2], strict=True))),
            is_drained=length == 0 or not int(entries or 0),
        )
