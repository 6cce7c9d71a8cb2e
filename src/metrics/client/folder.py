"""The thread that folds what waits once half of the buffer is taken, whatever the sender waits for.

It begins when it is needed, and ends when nothing is for a while.
"""

import contextlib
from collections.abc import Iterator, Sequence

from metrics.client import threads
from metrics.client.buffer import PAUSE_S, Buffer, Samples
from metrics.client.folds import Folded, Folds
from metrics.client.losses import Hours
from metrics.hours import SECONDS_PER_HOUR

VALUES_AT_ONCE = 500
"""How many values are folded between two breaths: about 0.1 ms."""

IDLE_S = 10.0
"""How long the thread waits for more before it ends."""

_ENDING_S = 1.0


class Folder:
    """Takes values from a buffer and folds them.

    Args:
        buffer: Where values wait.
        folds: Where they are folded.
    """

    def __init__(self, buffer: Buffer, folds: Folds) -> None:
        self._buffer = buffer
        self._folds = folds
        self._lock = threads.new_lock()
        self._wakeup = threads.new_lock()
        self._running = threads.new_lock()
        self._is_alive = False

    @property
    def count(self) -> int:
        """How many values are folded and not done with."""
        return self._folds.count

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs, or is about to."""
        return self._is_alive

    def wake(self) -> None:
        """Have it fold. Safe in a signal handler; without a thread, nothing is folded."""
        with contextlib.suppress(RuntimeError):  # of a lock that is released already
            self._wakeup.release()
        if not self._is_alive:
            with contextlib.suppress(RuntimeError):  # there can be no more threads
                threads.start(self._run)
                self._is_alive = True

    def fold(self) -> None:
        """Fold all that waits now; the threads of the app go on meanwhile, once there is room."""
        with self._lock:
            for key, samples in self._buffer.columns():
                for hour, values in _by_hour(samples):
                    for start in range(0, len(values), VALUES_AT_ONCE):
                        some = values[start : start + VALUES_AT_ONCE]
                        self._folds.add(key, hour, some)
                        self._buffer.release(len(some))
                        if not self._buffer.is_half_full:
                            threads.sleep(PAUSE_S)

    def take(self) -> list[Folded]:
        """Take out what was folded; its room stays taken until it is released."""
        with self._lock:
            return list(self._folds.take())

    def release(self, folded: Sequence[Folded]) -> None:
        """Make room in the place of what was taken and is done with."""
        with self._lock:
            self._folds.release(folded)

    def take_losses(self) -> Hours:
        """Return how many values found no room in folds since the last call."""
        with self._lock:
            return self._folds.losses.take()

    def _run(self) -> None:
        # However many were started, one runs; one that is just ending is waited for.
        if not self._running.acquire(timeout=_ENDING_S):
            return
        try:
            while self._is_needed():
                while self._buffer.is_half_full and self._buffer.waiting:
                    self.fold()
        finally:
            self._running.release()

    def _is_needed(self) -> bool:
        """Wait until there is something to do; return False if there is nothing for a while."""
        self._is_alive = True
        if self._wakeup.acquire(timeout=IDLE_S):
            return True
        self._is_alive = False
        return self._wakeup.acquire(blocking=False)


def _by_hour(samples: Samples) -> Iterator[tuple[int, list[float]]]:
    """Yield the values of each hour, by the hour."""
    timestamps, values = samples[::2], samples[1::2]
    if not values:
        return
    first, last = (int(end(timestamps)) // SECONDS_PER_HOUR for end in (min, max))
    if first == last:
        yield first, values.tolist()
        return
    by_hour: dict[int, list[float]] = {}
    for timestamp, value in zip(timestamps, values, strict=True):
        by_hour.setdefault(int(timestamp) // SECONDS_PER_HOUR, []).append(value)
    yield from by_hour.items()
