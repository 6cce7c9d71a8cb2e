"""The query's side: the aggregate of a key-hour, and whether it is complete."""

from dataclasses import dataclass

from metrics.aggregate import DROPPED_FIELD, Aggregate, dropped_in
from metrics.connection import Connection, command, done
from metrics.errors import NoDataError
from metrics.hours import Hour
from metrics.keyspace import Partition, key_hour, partition_of


@dataclass(frozen=True, slots=True)
class KeyHour:
    """What Redis holds of one key in one hour.

    Attributes:
        aggregate: Of the messages that are committed.
        dropped: How many messages their senders dropped, and said so.
        is_drained: Whether no message of the hour is still in the backlog of its partition.
    """

    aggregate: Aggregate
    dropped: int
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
        items = self._connection.ask(command("HGETALL", partition.hour(key_hour(key, hour))))
        fields = dict(zip(items[::2], items[1::2], strict=True))
        dropped = dropped_in(fields)
        if not fields.keys() - {DROPPED_FIELD}:
            lost = f", and {dropped} that were dropped by their sender" if dropped else ""
            raise NoDataError(f"no messages of {key} in {hour} UTC{lost}", dropped=dropped)
        return KeyHour(
            aggregate=Aggregate.from_hash(fields),
            dropped=dropped,
            is_drained=length == 0 or not int(entries or 0),
        )
