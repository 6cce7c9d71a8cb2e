"""Group commit: requests that wait at the same time go to Redis together, a lane for each node.

A node of a Redis Cluster that is slow or away holds up its own lane. A batch whose messages are
on several nodes waits in the lane of each, and is stored when all have their part.
"""

from collections.abc import Callable
from time import monotonic
from typing import cast

from api.lane import Lane
from metrics.connection import Connection
from metrics.entry import Column
from metrics.errors import StorageUnavailableError
from metrics.keyspace import Partition
from metrics.stream import Appender, Batch, Failures, Mark, Registration, failure_of

REGISTER_S = 0.5
"""How long a registration may take. A request goes on without one: its home may be away alone."""


class GroupCommit:
    """Appends batches for many requests; each call blocks its greenlet until Redis answered."""

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
        """Set it up; connects with the first request.

        Args:
            connection: The way to Redis, with room for ``lane.SENDERS`` to each node.
            agree: Checks that Redis holds what this process expects, until it once did.
            partitions: How many there are.
            backlog_limit_entries: How many entries a stream may hold.
            window_s: The dedupe window.
            replicas: How many replicas must have a batch before it counts as stored.
        """
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
        self._lanes: dict[str, Lane] = {}

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
            lane = self._lane_of(registration.home)
            return cast("float", lane.outcome_of(lane.join(registration, 0, deadline)))
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
        waiting = []
        for lane, part in self._parts(batch):
            try:
                waiting.append((lane, part, lane.join(part, _length_of(part), deadline)))
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        for lane, part, one in waiting:
            try:
                failures |= cast("Failures", lane.outcome_of(one))
            except StorageUnavailableError as error:
                failures |= dict.fromkeys(part.columns, error)
        failure = failure_of(batch, failures)
        if failure is not None:
            raise failure

    def _parts(self, batch: Batch) -> list[tuple[Lane, Batch]]:
        """Return the parts of a batch by the lanes of their nodes."""
        if len(batch.columns) == 1:
            return [(self._lane_of(partition), batch) for partition in batch.columns]
        by_lane: dict[Lane, dict[int, list[Column]]] = {}
        for partition, columns in batch.columns.items():
            by_lane.setdefault(self._lane_of(partition), {})[partition] = columns
        if len(by_lane) == 1:
            return [(lane, batch) for lane in by_lane]
        return [(lane, Batch(columns, batch.mark)) for lane, columns in by_lane.items()]

    def _lane_of(self, partition: int) -> Lane:
        name = self._connection.node_name_of(self._streams[partition])
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(self._send)
        return lane


def _length_of(batch: Batch) -> int:
    return sum([len(column.text) for columns in batch.columns.values() for column in columns])
