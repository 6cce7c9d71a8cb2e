"""A few at once, a few more wait, and nobody else: how much large work a process does."""

from collections.abc import Callable
from threading import BoundedSemaphore, Lock
from types import TracebackType

from metrics.errors import OverloadedError


class Admission:
    """Lets work in with ``with``. Safe for threads and greenlets.

    Args:
        what: What the work is, in the plural, for the error.
        at_once: How many may be at work.
        waiting_max: How many more may wait for that.
        wait_s: How long each may wait.
        on_asked: Called first by whoever wants to be let in.

    Attributes:
        waiting: How many wait now.
    """

    def __init__(
        self,
        what: str,
        *,
        at_once: int,
        waiting_max: int,
        wait_s: float,
        on_asked: Callable[[], object] = lambda: None,
    ) -> None:
        self._what = what
        self._on_asked = on_asked
        self._places = BoundedSemaphore(at_once)
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self.waiting = 0
        self._lock = Lock()

    def __enter__(self) -> None:
        """Wait until there is room.

        Raises:
            OverloadedError: If too many wait already, or there is no room in time.
        """
        self._on_asked()
        if self._places.acquire(blocking=False):
            return
        with self._lock:
            if self.waiting >= self._waiting_max:
                raise self._refusal()
            self.waiting += 1
        try:
            if not self._places.acquire(timeout=self._wait_s):
                raise self._refusal()
        finally:
            with self._lock:
                self.waiting -= 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make room for another."""
        self._places.release()

    def _refusal(self) -> OverloadedError:
        return OverloadedError(f"too many {self._what} at once; ask again later")
