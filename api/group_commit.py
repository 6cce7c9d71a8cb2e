"""Group commit: requests that wait at the same time go to Redis together.

A few senders take turns. While one waits for Redis, what arrives is collected, and the next
sender takes all of it in one round trip. So no request has a round trip of its own, and the
busier a process is, the less each message costs. An append that is slow or fails concerns the
requests in it, no others.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

import gevent
from gevent.event import AsyncResult, Event

from metrics.connection import Connection
from metrics.errors import MetricsError, StorageUnavailableError, Stored
from metrics.stream import Batch, Group, Mark, Registration

SENDERS = 4
"""Round trips that may be under way at once, each on a connection of its own."""

GROUP_LENGTH_MAX = 4 * 1024 * 1024
"""How much text one group may have; more waits for the next."""

WAITING_LENGTH_MAX = 64 * 1024 * 1024
"""How much text may wait; a request that comes on top of it is sent away."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request's part of the next group."""

    item: Batch | Registration
    length: int
    outcome: AsyncResult = field(default_factory=AsyncResult)


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
        """Set it up; the senders start with the first request.

        Args:
            connection: The way to Redis, with room for ``SENDERS``.
            agree: Checks that Redis holds what this process expects, until it once did.
            partitions: How many there are.
            backlog_limit_entries: How many entries a stream may hold.
            window_s: The dedupe window.
            replicas: How many replicas must have a batch before it counts as stored.
        """
        self._connection = connection
        self._agree = agree
        self._partitions = partitions
        self._limit = backlog_limit_entries
        self._window_s = window_s
        self._replicas = replicas
        self._waiting: deque[_Waiting] = deque()
        self._waiting_length = 0
        self._awake = Event()
        self._senders: list[gevent.Greenlet] = []

    def register(self, mark: Mark, arrival: float, deadline: float) -> float:
        """Return when the first request under an idempotency key came, in Unix seconds.

        Args:
            mark: The batch's.
            arrival: When this request came, in Unix seconds.
            deadline: Until when to wait, on the monotonic clock.

        Raises:
            IdempotencyConflictError: If it had another body.
            StorageUnavailableError: If Redis did not answer in time.
        """
        registration = Registration(
            mark, arrival, partitions=self._partitions, window_s=self._window_s
        )
        return cast("float", self._outcome_of(_Waiting(registration, 0), deadline))

    def append(self, batch: Batch, deadline: float) -> None:
        """Append a batch; when this returns, Redis has it.

        Args:
            batch: What to append.
            deadline: Until when to wait, on the monotonic clock.

        Raises:
            MetricsError: If Redis does not have it, or may not.
        """
        length = sum(len(c.text) for columns in batch.columns.values() for c in columns)
        self._outcome_of(_Waiting(batch, length), deadline)

    def _outcome_of(self, waiting: _Waiting, deadline: float) -> object:
        if self._waiting_length + waiting.length > WAITING_LENGTH_MAX:
            raise StorageUnavailableError("Too many messages are waiting for Redis.")
        self._start_senders()
        self._waiting.append(waiting)
        self._waiting_length += waiting.length
        self._awake.set()
        try:
            outcome = waiting.outcome.get(timeout=max(0.0, deadline - monotonic()))
        except gevent.Timeout:
            raise self._late(waiting) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _late(self, waiting: _Waiting) -> StorageUnavailableError:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            self._waiting_length -= waiting.length
            return StorageUnavailableError("Redis does not answer.", stored="no")
        stored: Stored = "no" if isinstance(waiting.item, Registration) else "unknown"
        return StorageUnavailableError("Redis does not answer.", stored=stored)

    def _start_senders(self) -> None:
        if not self._senders:
            self._senders = [gevent.spawn(self._send_forever) for _ in range(SENDERS)]

    def _send_forever(self) -> None:
        while True:
            self._awake.wait()
            group = self._take()
            if not group:
                self._awake.clear()
                continue
            try:
                outcomes = self._send([waiting.item for waiting in group])
            except Exception as error:  # noqa: BLE001  (each request raises it for itself)
                outcomes = [error] * len(group)
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.outcome.set(outcome)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        length = 0
        while self._waiting and (not group or length < GROUP_LENGTH_MAX):
            waiting = self._waiting.popleft()
            length += waiting.length
            group.append(waiting)
        self._waiting_length -= length
        return group

    def _send(self, items: Sequence[Batch | Registration]) -> list[object]:
        self._agree()
        batches = Group(
            [item for item in items if isinstance(item, Batch)],
            backlog_limit_entries=self._limit,
            window_s=self._window_s,
        )
        registrations = [item for item in items if isinstance(item, Registration)]
        calls = list(batches.calls)
        for registration in registrations:
            calls += registration.calls
        replies = self._connection.execute(calls, replicas=self._replicas)
        appended: list[MetricsError | None] = batches.settle(replies[: len(batches.calls)])
        at = len(batches.calls)
        arrivals = []
        for registration in registrations:
            end = at + len(registration.calls)
            arrivals.append(registration.settle(replies[at:end]))
            at = end
        return _in_order(items, appended, arrivals)


def _in_order(
    items: Sequence[Batch | Registration],
    appended: Sequence[object],
    arrivals: Sequence[object],
) -> list[object]:
    of_batches, of_registrations = iter(appended), iter(arrivals)
    return [next(of_batches if isinstance(item, Batch) else of_registrations) for item in items]
