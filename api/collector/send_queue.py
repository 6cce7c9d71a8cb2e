"""A send queue: requests that wait at the same time are sent together.

A few senders take turns. While they wait for answers, what arrives is collected, and the next
sender takes all of it. So no request has a round trip of its own, and the busier a process is, the
less each message costs. A group that is slow or fails concerns the requests in it, no others.

Waiting is cheap, since each message of an app that sends them one by one waits here: there is no
timer for each deadline and no event for each outcome.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Generic, TypeVar

import gevent
from gevent.hub import Waiter

from metrics.errors import StorageUnavailableError, Stored

SENDERS = 4
"""Groups that may be under way at once, each on a connection of its own."""

LINGER_SHARE, LINGER_MAX_S = 3.0, 0.008
"""How long a group lingers at most, as a share of the time that the last one took, and in seconds.

A group lingers until as many requests wait as the last group had: those that were answered
together send their next messages together, and a group has a price whatever its size. Where fewer
come than before, none waits longer than this. Where none came lately, none waits at all."""

GROUP_LENGTH_MAX = 4 * 1024 * 1024
"""How much text one group may have; more waits for the next."""

WAITING_LENGTH_MAX = 64 * 1024 * 1024
"""How much text may wait; a request that comes on top of it is sent away."""

TICK_S = 0.05
"""How often deadlines are looked at."""

_ANSWERED = inf

Item = TypeVar("Item")


class PendingAppend(Waiter, Generic[Item]):  # type: ignore[misc]  # gevent has no types
    """A request's part of the next group.

    Args:
        item: What to send.
        length: The length of its text.
        deadline: Until when its outcome is waited for, on the monotonic clock.
    """

    __slots__ = ("deadline", "item", "length")

    def __init__(self, item: Item, length: int, deadline: float) -> None:
        Waiter.__init__(self)
        self.item = item
        self.length = length
        self.deadline = deadline

    def result(self) -> object:
        """Wait for the outcome of the item, until its deadline.

        Raises:
            Exception: What kept the whole group from being sent, or that it took too long.
        """
        outcome: object = self.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class SendQueue(Generic[Item]):
    """What waits to be sent together, and the senders that send it.

    Args:
        send: Sends items together, and returns the outcome of each in their order.
        stored_when_late: Returns what is known of an item that is sent and not yet answered at
            its deadline.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Sequence[object]],
        *,
        stored_when_late: Callable[[Item], Stored] = lambda _: "unknown",
    ) -> None:
        self._send = send
        self._stored_when_late = stored_when_late
        self._loop = gevent.get_hub().loop
        self._waiting: deque[PendingAppend[Item]] = deque()
        self._waiting_length = 0
        self._sent: dict[int, Sequence[PendingAppend[Item]]] = {}
        self._senders = 0
        self._is_sender_coming = False
        self._group_size = 0
        self._linger_until = 0.0
        self._lingering: Waiter | None = None
        self._is_watched = False

    def submit(self, item: Item, length: int, deadline: float) -> PendingAppend[Item]:
        """Put an item at the end of the queue.

        Args:
            item: What to send.
            length: The length of its text.
            deadline: Until when its outcome is waited for, on the monotonic clock.

        Raises:
            StorageUnavailableError: If the queue is too long.
        """
        pending = PendingAppend(item, length, deadline)
        self.put(pending)
        return pending

    def put(self, pending: PendingAppend[Item]) -> None:
        """Put what waits already at the end of the queue.

        Raises:
            StorageUnavailableError: If the queue is too long.
        """
        length = pending.length
        if self._waiting_length + length > WAITING_LENGTH_MAX:
            raise StorageUnavailableError("Too many messages are waiting for Redis.")
        self._waiting.append(pending)
        self._waiting_length += length
        if self._is_sender_coming:
            if self._lingering is not None and self._has_enough():
                self._loop.run_callback(self._lingering.switch, None)
                self._lingering = None
        elif self._senders < SENDERS:
            # It starts when those that can run now have run, so that it finds their items too.
            self._is_sender_coming = True
            self._senders += 1
            gevent.spawn(self._send_groups)
        if not self._is_watched:
            self._is_watched = True
            gevent.spawn(self._watch_deadlines)

    def _send_groups(self) -> None:
        # What it came for may have been too late by now: then the next request needs another one.
        self._is_sender_coming = False
        try:
            while self._waiting:
                self._linger()
                group = self._take()
                if group:  # else another sender took them, or they were too late
                    self._loop.run_callback(_answer, group, self._outcomes(group))
        finally:
            self._senders -= 1

    def _linger(self) -> None:
        """Wait until as many requests are there as the last group had, but not for long."""
        pause_s = self._linger_until - monotonic()
        if pause_s <= 0 or self._has_enough():
            return
        self._is_sender_coming = True
        self._lingering = waiter = Waiter()
        timer = self._loop.timer(pause_s)
        timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            timer.close()
            self._lingering = None

    def _has_enough(self) -> bool:
        return len(self._waiting) >= self._group_size or self._waiting_length >= GROUP_LENGTH_MAX

    def _take(self) -> list[PendingAppend[Item]]:
        self._is_sender_coming = False
        group: list[PendingAppend[Item]] = []
        length = 0
        while self._waiting and (not group or length < GROUP_LENGTH_MAX):
            pending = self._waiting.popleft()
            length += pending.length
            group.append(pending)
        self._waiting_length -= length
        self._group_size = len(group)
        return group

    def _outcomes(self, group: Sequence[PendingAppend[Item]]) -> Sequence[object]:
        begun = monotonic()
        # Those that come while this one is under way linger as well.
        self._linger_until = begun + LINGER_MAX_S
        self._sent[id(group)] = group
        try:
            return self._send([pending.item for pending in group])
        except Exception as error:  # noqa: BLE001  (each request raises it for itself)
            return [error] * len(group)
        finally:
            del self._sent[id(group)]
            now = monotonic()
            self._linger_until = now + min(LINGER_SHARE * (now - begun), LINGER_MAX_S)

    def _watch_deadlines(self) -> None:
        while self._waiting or self._sent:
            due = monotonic() + TICK_S
            gevent.sleep(TICK_S)
            # A process that was busy itself first reads what has come meanwhile.
            if monotonic() - due < TICK_S:
                self._loop.run_callback(self._answer_late_ones)
        self._is_watched = False

    def _answer_late_ones(self) -> None:
        now = monotonic()
        for pending in [pending for pending in self._waiting if pending.deadline < now]:
            self._waiting.remove(pending)
            self._waiting_length -= pending.length
            pending.switch(
                StorageUnavailableError("Too much was waiting to be sent to Redis in time.")
            )
        for group in list(self._sent.values()):
            for pending in [pending for pending in group if pending.deadline < now]:
                pending.deadline = _ANSWERED
                pending.switch(_late(self._stored_when_late(pending.item)))


def _answer(group: Iterable[PendingAppend[Item]], outcomes: Sequence[object]) -> None:
    """Give each its outcome, in the hub: only from there may a greenlet be switched to."""
    for pending, outcome in zip(group, outcomes, strict=True):
        if pending.deadline != _ANSWERED:
            pending.switch(outcome)


def _late(stored: Stored) -> StorageUnavailableError:
    return StorageUnavailableError("Redis does not answer.", stored=stored)
