"""Long work in turns: short requests are answered while long bodies are read.

``gevent.sleep(0)`` is no pause here: gevent runs up to fifty such callbacks before it looks at its
sockets again (``CALLBACK_CHECK_COUNT`` in gevent/_ffi/loop.py). A timer lets it look each time.
"""

import math
from collections.abc import Callable
from time import monotonic
from typing import Self

import gevent
from gevent import monkey
from gevent.lock import BoundedSemaphore

SLICE_S = 0.005
"""How long a greenlet works before others have their turn."""

PAUSE_S = 0.002
"""How long others have it, if there are any: a short request takes several turns of the loop."""

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


class TimeSlices:
    """Shares a process between requests with much to do and all others. One for each process.

    However many have much to do, one of them works at a time, and between any two of their slices
    the others have a turn. If any of them uses it, they have a pause. Requests that were begun
    with ``begin_request`` are short at first, and long ones wait for them.

    Args:
        now: The clock, in seconds.
        sleep: Lets other greenlets go on for so many seconds.
        slice_s: How long a slice is, in seconds.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
        slice_s: float = SLICE_S,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._slice_s = slice_s
        self._one = BoundedSemaphore(1)
        self._started = now()
        # Of each short request when it began, by its greenlet.
        self._short: dict[object, float] = {}

    @classmethod
    def of_process(cls, slice_s: float = SLICE_S) -> Self:
        """Return those of this process: endless ones under threads, which take turns anyway."""
        return cls(slice_s=slice_s if has_greenlets() else math.inf)

    def begin_request(self) -> None:
        """Say that the greenlet that calls this has a request, which is short for all we know."""
        self._short[gevent.getcurrent()] = self._now()

    def mark_long(self) -> None:
        """Say that the request of this greenlet is long: nobody waits for it from now on."""
        self._short.pop(gevent.getcurrent(), None)

    def end_request(self) -> None:
        """Say that the request of this greenlet has ended."""
        self._short.pop(gevent.getcurrent(), None)

    def start(self) -> None:
        """Say that the work of a request begins now."""
        self._started = self._now()

    def pause_if_due(self) -> None:
        """Let others go on, if the work has taken its time. It is cheap, to be called often."""
        now = self._now()
        if now - self._started >= self._slice_s and not self._is_short(now):
            self.mark_long()
            with self._one:
                self._pause()
            self._started = self._now()

    def _is_short(self, now: float) -> bool:
        begun = self._short.get(gevent.getcurrent())
        return begun is not None and now - begun < SHORT_S

    def _pause(self) -> None:
        began = self._now()
        for _ in range(_TURNS):
            self._sleep(_TURN_S)
        if self._now() - began > _ALONE_S:
            self._sleep(PAUSE_S)
        while self._short and self._now() - began < WAIT_MAX_S:
            self._sleep(_LOOK_S)
