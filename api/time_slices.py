"""Long work in turns: short requests are answered while long bodies are read, however many.

``gevent.sleep(0)`` is no pause here: gevent runs up to fifty such callbacks before it looks at its
sockets again (``CALLBACK_CHECK_COUNT`` in gevent/_ffi/loop.py). A timer lets it look each time.
"""

import math
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from time import monotonic
from typing import Any, Self

import gevent
from gevent import monkey
from gevent.hub import Waiter

SLICE_S = 0.005
"""How long requests work, all together, before the event loop looks at its sockets again."""

LITTLE_SLICES = 4
"""As long as that, if little work comes in one turn of the loop: to take it together costs less."""

PAUSE_S = 0.002
"""How long others have it, if there are any: a short request takes several turns of the loop."""

IN_A_ROW = 8
"""How many of a kind may be passed by others before one of it has its turn."""

SHORT_S = 0.02
"""A request that takes no longer is short: it has no slices, and long ones wait for it."""

WAIT_MAX_S = 0.005
"""How long a request waits for short ones after each of its slices: long ones go on, too."""

_LOOK_S = 0.0005
"""How often it looks whether they have ended."""

_TURN_S = 1e-9
"""A timer that is due at once: the event loop looks at its sockets, and waits for none."""

_TURNS = 2
"""In the first turn timers may come before sockets."""

_ALONE_S = 0.0002
"""Turns in which nobody else had anything to do take less."""


def has_greenlets() -> bool:
    """Return whether a request has a greenlet, as under gunicorn's gevent workers, or a thread."""
    return bool(monkey.is_module_patched("socket"))


def _turn_of_loop() -> int:
    turn: int = gevent.get_hub().loop.iteration
    return turn


class _Kind(IntEnum):
    """Who has something to do, in the order in which they come."""

    LITTLE = 0
    FIRST = 1
    MORE = 2


class TimeSlices:
    """Shares a process between requests with much to do and all others. One for each process.

    However many have much to do, all together they work for a slice in one turn of the event loop.
    Who comes later stands in a line: those with little to do first, then those that begin, then
    those that have had a slice; so what needs little time is done soon beside any amount of long
    work. Between two slices others have turns of the loop; after one of long work they have a
    pause, if any of them uses those. Requests that were begun with ``begin_request`` are short at
    first: they wait for nobody, and long work waits for them.

    Args:
        now: The clock, in seconds.
        sleep: Lets other greenlets go on for so many seconds.
        turn: Returns a number that is another one in each turn of the event loop.
        slice_s: How long a slice is, in seconds.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
        turn: Callable[[], int] = _turn_of_loop,
        slice_s: float = SLICE_S,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._turn_of_loop = turn
        self._slice_s = slice_s
        self._line = _Line()
        self._turn = -1
        self._began = now()
        # Of each short request when it began, by its greenlet.
        self._short: dict[object, float] = {}

    @classmethod
    def of_process(cls, slice_s: float = SLICE_S) -> Self:
        """Return those of this process: endless ones under threads, which take turns anyway."""
        return cls(slice_s=slice_s if has_greenlets() else math.inf)

    def begin_request(self) -> None:
        """Say that the greenlet that calls this has a request, which is short for all we know."""
        self._short[gevent.getcurrent()] = self._now()

    def become_long(self) -> None:
        """Say that the request of this greenlet is long: nobody waits for it from now on."""
        self._short.pop(gevent.getcurrent(), None)

    def end_request(self) -> None:
        """Say that the request of this greenlet has ended."""
        self._short.pop(gevent.getcurrent(), None)

    def start(self, *, is_little: bool = False) -> None:
        """Say that the work of a request begins; it waits, if others have had this turn.

        Args:
            is_little: Whether the work is known to be less than a slice by far.
        """
        if is_little:
            if not self._has_time_left(LITTLE_SLICES):
                self._wait(_Kind.LITTLE)
        elif (self._line.is_busy or not self._has_time_left()) and not self._is_short():
            self.become_long()
            self._wait(_Kind.FIRST)

    def pause_if_due(self) -> None:
        """Let others go on, if the work has taken its time. It is cheap, to be called often."""
        if not self._has_time_left() and not self._is_short():
            self.become_long()
            self._wait(_Kind.MORE)

    def _is_short(self) -> bool:
        begun = self._short.get(gevent.getcurrent())
        return begun is not None and self._now() - begun < SHORT_S

    def _has_short(self) -> bool:
        since = self._now() - SHORT_S
        return any(begun > since for begun in self._short.values())

    def _has_time_left(self, slices: int = 1) -> bool:
        if self._slice_s == math.inf:
            return True
        now, turn = self._now(), self._turn_of_loop()
        if turn != self._turn:
            self._turn, self._began = turn, now
        return now - self._began < slices * self._slice_s

    def _wait(self, kind: _Kind) -> None:
        self._line.enter(kind)
        try:
            if not self._has_time_left():
                self._pause(kind)
        finally:
            self._line.leave()

    def _pause(self, kind: _Kind) -> None:
        began = self._now()
        for _ in range(_TURNS):
            self._sleep(_TURN_S)
        # Where much begins, as when many short bodies come at once, to wait would waste the time.
        if kind is _Kind.MORE and self._now() - began > _ALONE_S:
            self._sleep(PAUSE_S)
        while kind is _Kind.MORE and self._has_short() and self._now() - began < WAIT_MAX_S:
            self._sleep(_LOOK_S)
        self._turn, self._began = self._turn_of_loop(), self._now()


class _Line:
    """A line of greenlets: one at a time is let in, and the next when it has left and rests.

    Unlike a lock of gevent it is fair: who leaves and comes again stands behind the others.
    """

    def __init__(self) -> None:
        self.is_busy = False
        self._waiting: list[deque[Waiter[Any]]] = [deque() for _ in _Kind]
        self._passed = [0] * len(_Kind)

    def enter(self, kind: _Kind) -> None:
        """Wait until the others before are gone."""
        if not self.is_busy:
            self.is_busy = True
            return
        waiter: Waiter[Any] = Waiter()
        waiting = self._waiting[kind]
        waiting.append(waiter)
        try:
            waiter.get()
        except BaseException:
            if waiter in waiting:
                waiting.remove(waiter)
            else:  # it was let in already
                self.leave()
            raise

    def leave(self) -> None:
        """Let the next one in, once this greenlet works no more."""
        kinds = [kind for kind in _Kind if self._waiting[kind]]
        if not kinds:
            self.is_busy = False
            return
        passed = [kind for kind in kinds if self._passed[kind] >= IN_A_ROW]
        chosen = (passed or kinds)[0]
        for kind in kinds:
            self._passed[kind] = 0 if kind is chosen else self._passed[kind] + 1
        gevent.get_hub().loop.run_callback(self._waiting[chosen].popleft().switch, None)
