"""A send queue for each node of Redis: one that is slow or away holds up its own alone."""

from collections.abc import Callable, Sequence

from api.collector.send_queue import PendingAppend, SendQueue
from metrics.connection import Connection
from metrics.errors import Stored
from metrics.idempotency import Reservation
from metrics.keyspace import PartitionNames
from metrics.stream import Batch, Item, SingleMessage

SINGLE_LENGTH = 16
"""How much text a single message becomes, about."""


class NodeQueues:
    """The send queues of a process, made when they are first needed.

    Args:
        connection: The way to Redis, with room for ``send_queue.SENDERS`` to each node.
        send: Sends items, as ``Appender.send`` does.
        partitions: How many there are.
    """

    def __init__(
        self,
        connection: Connection,
        send: Callable[[Sequence[Item]], Sequence[object]],
        *,
        partitions: int,
    ) -> None:
        self._connection = connection
        self._send = send
        self._streams = [PartitionNames(number).stream for number in range(partitions)]
        self._queues: dict[str, SendQueue[Item]] = {}

    def of(self, partition: int) -> SendQueue[Item]:
        """Return the queue of the node that has a partition."""
        name = self._connection.node_name_of(self._streams[partition])
        queue = self._queues.get(name)
        if queue is None:
            queue = SendQueue(self._send, stored_when_late=_stored_when_late)
            self._queues[name] = queue
        return queue

    def put(self, pending: PendingAppend[Item]) -> bool:
        """Put a message or an unmarked batch into the queue of its node.

        Returns:
            Whether it was done. It is not if its messages are on several nodes.

        Raises:
            StorageUnavailableError: If the queue is too long.
        """
        item = pending.item
        if isinstance(item, SingleMessage):
            pending.length = SINGLE_LENGTH
            self.of(item.partition).put(pending)
            return True
        if not isinstance(item, Batch):
            return False
        queue, *others = {self.of(partition) for partition in item.columns}
        if others:
            return False
        pending.length = item.length
        queue.put(pending)
        return True


def _stored_when_late(item: Item) -> Stored:
    return "no" if isinstance(item, Reservation) else "unknown"
