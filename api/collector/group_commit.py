"""Group commit: requests that wait at the same time go to Redis together.

Each node of a Redis Cluster has a queue. A batch whose messages are on several nodes waits in the
queue of each, and is stored when all have their part.
"""

from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from metrics.entry import Column
from metrics.errors import StorageUnavailableError
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.stream import Batch, Failures, Item, failure_of

RESERVE_S = 0.5
"""How long a reservation may take. A request goes on without one: its node may be away alone."""


class Pending(Protocol):
    """An item that is on its way to Redis."""

    def result(self) -> object:
        """Wait for its outcome, as ``Appender.send`` gives it.

        Raises:
            Exception: What kept it from being sent, or that it took too long.
        """


class Queue(Protocol):
    """Takes items to Redis."""

    def submit(self, item: Item, length: int, deadline: float) -> Pending:
        """Put an item into the queue.

        Args:
            item: What to send.
            length: The length of its text.
            deadline: Until when its outcome is waited for, on the monotonic clock.

        Raises:
            StorageUnavailableError: If the queue is too long.
        """


class GroupCommit:
    """Appends batches for many requests; each call waits until Redis answered.

    Args:
        queue_of: Returns the queue of the node that has a partition.
        partitions: How many there are.
        window_s: The dedupe window.
    """

    def __init__(self, queue_of: Callable[[int], Queue], *, partitions: int, window_s: int) -> None:
        self._queue_of = queue_of
        self._partitions = partitions
        self._window_s = window_s

    def reserve(
        self,
        idempotency_key: IdempotencyKey,
        arrival: float,
        deadline: float,
        *,
        only_look: bool = False,
    ) -> float:
        """Return when the first request under an idempotency key came, in Unix seconds.

        It is this one's arrival if the key's home partition cannot be asked: each partition keeps
        fingerprints of its own, so that its messages count once even so.

        Args:
            idempotency_key: The batch's.
            arrival: When this request came, in Unix seconds.
            deadline: Until when to wait, on the monotonic clock.
            only_look: Whether to leave the key free if it is.

        Raises:
            IdempotencyConflictError: If it had another body.
        """
        reservation = Reservation(
            idempotency_key,
            arrival,
            partitions=self._partitions,
            window_s=self._window_s,
            only_look=only_look,
        )
        deadline = min(deadline, monotonic() + RESERVE_S)
        try:
            queue = self._queue_of(reservation.home_partition)
            return cast("float", queue.submit(reservation, 0, deadline).result())
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
        parts: list[tuple[Batch, Pending]] = []
        for queue, part in self._parts(batch):
            try:
                parts.append((part, queue.submit(part, part.length, deadline)))
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        for part, pending in parts:
            try:
                failures |= cast("Failures", pending.result())
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        failure = failure_of(batch, failures)
        if failure is not None:
            raise failure

    def _parts(self, batch: Batch) -> list[tuple[Queue, Batch]]:
        """Return the parts of a batch by the queues of their nodes."""
        if len(batch.columns) == 1:
            return [(self._queue_of(partition), batch) for partition in batch.columns]
        by_queue: dict[Queue, dict[int, list[Column]]] = {}
        for partition, columns in batch.columns.items():
            by_queue.setdefault(self._queue_of(partition), {})[partition] = columns
        if len(by_queue) == 1:
            return [(queue, batch) for queue in by_queue]
        return [
            (queue, Batch(columns, batch.idempotency_key)) for queue, columns in by_queue.items()
        ]
