"""A lane: what waits for one node of Redis goes there together.

A few senders take turns. While one waits for Redis, what arrives is collected, and the next
sender takes all of it in one round trip. So no request has a round trip of its own, and the
busier a process is, the less each message costs. An append that is slow or fails concerns the
requests in it, no others.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import gevent
from gevent.event import AsyncResult, Event

from metrics.errors import StorageUnavailableError, Stored
from metrics.stream import Batch, Registration

SENDERS = 4
"""Round trips to one node that may be under way at once, each on a connection of its own."""

GROUP_LENGTH_MAX = 4 * 1024 * 1024
"""How much text one group may have; more waits for the next."""

WAITING_LENGTH_MAX = 64 * 1024 * 1024
"""How much text may wait; a request that comes on top of it is sent away."""

Item = Batch | Registration


@dataclass(slots=True, eq=False)
class Waiting:
    """A request's part of the next group."""

    item: Item
    length: int
    outcome: AsyncResult = field(default_factory=AsyncResult)


class Lane:
    """The queue to one node, and the senders that empty it."""

    def __init__(self, send: Callable[[Sequence[Item]], Sequence[object]]) -> None:
        """Set it up; the senders start with the first item.

        Args:
            send: Sends items together, and returns the outcome of each.
        """
        self._send = send
        self._waiting: deque[Waiting] = deque()
        self._waiting_length = 0
        self._awake = Event()
        self._senders: list[gevent.Greenlet] = []

    def join(self, item: Item, length: int) -> Waiting:
        """Put an item, with so much text, in line.

        Raises:
            StorageUnavailableError: If the line is too long.
        """
        if self._waiting_length + length > WAITING_LENGTH_MAX:
            raise StorageUnavailableError("Too many messages are waiting for Redis.")
        if not self._senders:
            self._senders = [gevent.spawn(self._send_forever) for _ in range(SENDERS)]
        waiting = Waiting(item, length)
        self._waiting.append(waiting)
        self._waiting_length += length
        self._awake.set()
        return waiting

    def outcome_of(self, waiting: Waiting, deadline: float) -> object:
        """Wait for the outcome of an item, until a deadline on the monotonic clock.

        Raises:
            Exception: What kept the whole group from being sent, or that it took too long.
        """
        try:
            outcome = waiting.outcome.get(timeout=max(0.0, deadline - monotonic()))
        except gevent.Timeout:
            raise self._late(waiting) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _late(self, waiting: Waiting) -> StorageUnavailableError:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            self._waiting_length -= waiting.length
            return StorageUnavailableError("Redis does not answer.", stored="no")
        stored: Stored = "no" if isinstance(waiting.item, Registration) else "unknown"
        return StorageUnavailableError("Redis does not answer.", stored=stored)

    def _send_forever(self) -> None:
        while True:
            self._awake.wait()
            group = self._take()
            if not group:
                self._awake.clear()
                continue
            outcomes: Sequence[object]
            try:
                outcomes = self._send([waiting.item for waiting in group])
            except Exception as error:  # noqa: BLE001  (each request raises it for itself)
                outcomes = [error] * len(group)
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.outcome.set(outcome)

    def _take(self) -> list[Waiting]:
        group: list[Waiting] = []
        length = 0
        while self._waiting and (not group or length < GROUP_LENGTH_MAX):
            waiting = self._waiting.popleft()
            length += waiting.length
            group.append(waiting)
        self._waiting_length -= length
        return group
