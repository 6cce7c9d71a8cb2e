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
    the others have a turn. If any of them uses it, they have a pause.

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

    @classmethod
    def of_process(cls) -> Self:
        """Return those of this process: endless ones under threads, which take turns anyway."""
        return cls(slice_s=SLICE_S if has_greenlets() else math.inf)

    def start(self) -> None:
        """Say that the work of a request begins now."""
        self._started = self._now()

    def pause_if_due(self) -> None:
        """Let others go on, if the work has taken its time. It is cheap, to be called often."""
        if self._now() - self._started >= self._slice_s:
            with self._one:
                self._pause()
            self._started = self._now()

    def _pause(self) -> None:
        began = self._now()
        for _ in range(_TURNS):
            self._sleep(_TURN_S)
        if self._now() - began > _ALONE_S:
            self._sleep(PAUSE_S)
