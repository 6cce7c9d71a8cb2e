"""A lane: what waits for one node of Redis goes there together.

A few senders take turns. While one waits for Redis, what arrives is collected, and the next
sender takes all of it in one round trip. So no request has a round trip of its own, and the
busier a process is, the less each message costs. An append that is slow or fails concerns the
requests in it, no others.

Waiting is as cheap as can be, since each message of an app that sends them one by one waits here:
no timer of its own for a deadline, no event of its own for an outcome.
"""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

import gevent
from gevent.hub import Waiter

from metrics.errors import StorageUnavailableError, Stored
from metrics.stream import Batch, Registration

SENDERS = 4
"""Round trips to one node that may be under way at once, each on a connection of its own."""

PAUSE_PER_ITEM_S, PAUSE_MAX_S = 0.00025, 0.008
"""How long after a group the next one goes, for each item that was in it: where many requests come
they go with more others, and cost less; where few come, none waits for others."""

GROUP_LENGTH_MAX = 4 * 1024 * 1024
"""How much text one group may have; more waits for the next."""

WAITING_LENGTH_MAX = 64 * 1024 * 1024
"""How much text may wait; a request that comes on top of it is sent away."""

TICK_S = 0.05
"""How often deadlines are looked at."""

Item = Batch | Registration


class Waiting:
    """A request's part of the next group."""

    __slots__ = ("deadline", "item", "length", "outcome")

    def __init__(self, item: Item, length: int, deadline: float) -> None:
        self.item = item
        self.length = length
        self.deadline = deadline
        self.outcome = Waiter()


class Lane:
    """The queue to one node, and the senders that empty it."""

    def __init__(self, send: Callable[[Sequence[Item]], Sequence[object]]) -> None:
        """Set it up; the senders start with the first item.

        Args:
            send: Sends items together, and returns the outcome of each.
        """
        self._send = send
        self._loop = gevent.get_hub().loop
        self._waiting: deque[Waiting] = deque()
        self._waiting_length = 0
        self._unanswered: dict[Waiting, None] = {}
        self._senders = 0
        self._is_sender_coming = False
        self._next_at = 0.0
        self._is_watched = False

    def join(self, item: Item, length: int, deadline: float) -> Waiting:
        """Put an item in line.

        Args:
            item: What to send.
            length: Of its text.
            deadline: Until when its outcome is waited for, on the monotonic clock.

        Raises:
            StorageUnavailableError: If the line is too long.
        """
        if self._waiting_length + length > WAITING_LENGTH_MAX:
            raise StorageUnavailableError("Too many messages are waiting for Redis.")
        waiting = Waiting(item, length, deadline)
        self._waiting.append(waiting)
        self._waiting_length += length
        self._unanswered[waiting] = None
        if not self._is_sender_coming and self._senders < SENDERS:
            # It starts when those that can run now have run, so that it finds their items too.
            self._is_sender_coming = True
            self._senders += 1
            gevent.spawn(self._send_all)
        if not self._is_watched:
            self._is_watched = True
            gevent.spawn(self._watch_deadlines)
        return waiting

    def outcome_of(self, waiting: Waiting) -> object:
        """Wait for the outcome of an item, until its deadline.

        Raises:
            Exception: What kept the whole group from being sent, or that it took too long.
        """
        try:
            outcome = waiting.outcome.get()
        finally:
            self._unanswered.pop(waiting, None)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _send_all(self) -> None:
        self._is_sender_coming = False
        try:
            while self._waiting:
                self._let_more_come()
                group = self._take()
                self._loop.run_callback(_tell, group, self._outcomes(group))
        finally:
            self._senders -= 1

    def _let_more_come(self) -> None:
        pause_s = self._next_at - monotonic()
        if pause_s > 0:
            self._is_sender_coming = True
            gevent.sleep(pause_s)
            self._is_sender_coming = False

    def _outcomes(self, group: Sequence[Waiting]) -> Sequence[object]:
        if not group:  # another sender took them, or they were too late
            return ()
        try:
            return self._send([waiting.item for waiting in group])
        except Exception as error:  # noqa: BLE001  (each request raises it for itself)
            return [error] * len(group)

    def _take(self) -> list[Waiting]:
        group: list[Waiting] = []
        length = 0
        while self._waiting and (not group or length < GROUP_LENGTH_MAX):
            waiting = self._waiting.popleft()
            length += waiting.length
            group.append(waiting)
        self._waiting_length -= length
        self._next_at = monotonic() + min(len(group) * PAUSE_PER_ITEM_S, PAUSE_MAX_S)
        return group

    def _watch_deadlines(self) -> None:
        while self._unanswered:
            gevent.sleep(TICK_S)
            now = monotonic()
            late = [waiting for waiting in self._unanswered if waiting.deadline < now]
            self._loop.run_callback(_tell, late, [self._late(waiting) for waiting in late])
        self._is_watched = False

    def _late(self, waiting: Waiting) -> StorageUnavailableError:
        del self._unanswered[waiting]
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            self._waiting_length -= waiting.length
            return StorageUnavailableError("Redis does not answer.", stored="no")
        stored: Stored = "no" if isinstance(waiting.item, Registration) else "unknown"
        return StorageUnavailableError("Redis does not answer.", stored=stored)


def _tell(group: Sequence[Waiting], outcomes: Sequence[object]) -> None:
    """Give each its outcome, in the hub: only from there may a greenlet be switched to."""
    for waiting, outcome in zip(group, outcomes, strict=True):
        waiting.outcome.switch(outcome)
