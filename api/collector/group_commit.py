"""Group commit: requests that wait at the same time go to Redis together.

Each node of a Redis Cluster has a send queue, and one that is slow or away holds up its own alone.
A batch whose messages are on several nodes waits in the queue of each, and is stored when all have
their part.
"""

from collections.abc import Callable
from time import monotonic
from typing import cast

from api.collector.send_queue import SendQueue, Waiting
from metrics.connection import Connection
from metrics.entry import Column
from metrics.errors import StorageUnavailableError, Stored
from metrics.keyspace import Partition
from metrics.stream import (
    Appender,
    Batch,
    Failures,
    Item,
    Mark,
    Registration,
    SingleMessage,
    failure_of,
)

SINGLE_LENGTH = 16
"""How much text a single message becomes, about."""

REGISTER_S = 0.5
"""How long a registration may take. A request goes on without one: its home may be away alone."""


class GroupCommit:
    """Appends batches for many requests; each call blocks its greenlet until Redis answered.

    It connects with the first request.

    Args:
        connection: The way to Redis, with room for ``send_queue.SENDERS`` to each node.
        agree: Checks that Redis holds what this process expects, until it once did.
        partitions: How many there are.
        backlog_limit_entries: How many entries a stream may hold.
        window_s: The dedupe window.
        replicas: How many replicas must have a batch before it counts as stored.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        agree: Callable[[], None],
        partitions: int,
        backlog_limit_entries: int,
        window_s: int,
        replicas: int = 0,
    ) -> None:
        self._connection = connection
        self._partitions = partitions
        self._streams = [Partition(number).stream for number in range(partitions)]
        self._window_s = window_s
        self._send = Appender(
            connection,
            agree=agree,
            backlog_limit_entries=backlog_limit_entries,
            window_s=window_s,
            replicas=replicas,
        ).send
        self._queues: dict[str, SendQueue[Item]] = {}

    def register(self, mark: Mark, arrival: float, deadline: float) -> float:
        """Return when the first request under an idempotency key came, in Unix seconds.

        It is this one's arrival if the home of the key cannot be asked: each partition has marks
        of its own, so that its messages count once even so.

        Args:
            mark: The batch's.
            arrival: When this request came, in Unix seconds.
            deadline: Until when to wait, on the monotonic clock.

        Raises:
            IdempotencyConflictError: If it had another body.
        """
        registration = Registration(
            mark, arrival, partitions=self._partitions, window_s=self._window_s
        )
        deadline = min(deadline, monotonic() + REGISTER_S)
        try:
            queue = self._queue_of(registration.home)
            return cast("float", queue.outcome_of(queue.join(registration, 0, deadline)))
        except StorageUnavailableError:
            return arrival

    def append(self, batch: Batch, deadline: float) -> None:
        """Append a batch; when this returns, Redis has it.

        Args:
            batch: What to append.
            deadline: Until when to wait, on the monotonic clock.

        Raises:
            PartlyStoredError: If some nodes have their part of it.
            MetricsError: If Redis does not have it, or may not.
        """
        failures: Failures = {}
        parts: list[tuple[Batch, Waiting[Item]]] = []
        for queue, part in self._parts(batch):
            try:
                parts.append((part, queue.join(part, _length_of(part), deadline)))
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        for part, waiting in parts:
            try:
                failures |= cast("Failures", SendQueue.outcome_of(waiting))
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        failure = failure_of(batch, failures)
        if failure is not None:
            raise failure

    def put(self, waiting: Waiting[Item]) -> bool:
        """Put a message or an unmarked batch into the send queue of its node.

        Returns:
            Whether it was done. It is not if its messages are on several nodes.

        Raises:
            StorageUnavailableError: If the queue is too long.
        """
        item = waiting.item
        if isinstance(item, SingleMessage):
            waiting.length = SINGLE_LENGTH
            self._queue_of(item.partition).put(waiting)
            return True
        if not isinstance(item, Batch):
            return False
        queues = self._parts(item)
        if len(queues) > 1:
            return False
        waiting.length = _length_of(item)
        queues[0][0].put(waiting)
        return True

    def _parts(self, batch: Batch) -> list[tuple[SendQueue[Item], Batch]]:
        """Return the parts of a batch by the queues of their nodes."""
        if len(batch.columns) == 1:
            return [(self._queue_of(partition), batch) for partition in batch.columns]
        by_queue: dict[SendQueue[Item], dict[int, list[Column]]] = {}
        for partition, columns in batch.columns.items():
            by_queue.setdefault(self._queue_of(partition), {})[partition] = columns
        if len(by_queue) == 1:
            return [(queue, batch) for queue in by_queue]
        return [(queue, Batch(columns, batch.mark)) for queue, columns in by_queue.items()]

    def _queue_of(self, partition: int) -> SendQueue[Item]:
        name = self._connection.node_name_of(self._streams[partition])
        queue = self._queues.get(name)
        if queue is None:
            queue = SendQueue(self._send, stored_when_late=_stored_when_late)
            self._queues[name] = queue
        return queue


def _stored_when_late(item: Item) -> Stored:
    return "no" if isinstance(item, Registration) else "unknown"


def _length_of(batch: Batch) -> int:
    return sum([len(column.text) for columns in batch.columns.values() for column in columns])
