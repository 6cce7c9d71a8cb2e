"""Long work in turns: short requests are answered while long bodies are read.

``gevent.sleep(0)`` is no pause here: gevent runs up to fifty such callbacks before it looks at its
sockets again (``CALLBACK_CHECK_COUNT`` in gevent/_ffi/loop.py). A timer lets it look each time.
"""

from collections.abc import Callable
from time import monotonic

import gevent
from gevent.lock import BoundedSemaphore

SLICE_S = 0.005
"""How long a greenlet works before others have their turn."""

PAUSE_S = 0.002
"""How long others have it: a short request takes several turns of the event loop."""


class TimeSlices:
    """Shares a process between requests with much to do and all others. One for each process.

    However many have much to do, one of them works at a time, and between any two of their slices
    is a pause for the others.

    Args:
        now: The clock, in seconds.
        sleep: Lets other greenlets go on for so many seconds.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._one = BoundedSemaphore(1)
        self._started = now()

    def start(self) -> None:
        """Say that the work of a request begins now."""
        self._started = self._now()

    def pause_if_due(self) -> None:
        """Let others go on, if the work has taken its time. It is cheap, to be called often."""
        if self._now() - self._started >= SLICE_S:
            with self._one:
                self._sleep(PAUSE_S)
            self._started = self._now()
