"""Something that is done again and again beside the load, and what came of it each time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Repeated(Generic[T]):
    """Does it in a thread of its own, for as long as the context lasts.

    Args:
        do: What to do.
        pause_s: Between an end and the next begin.
    """

    def __init__(self, do: Callable[[], T], pause_s: float) -> None:
        self._do = do
        self._pause_s = pause_s
        self._found: list[T] = []
        self._stopping = Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._going = self._pool.submit(self._go_on)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown()

    def found(self) -> Sequence[T]:
        """Return what came of each time so far.

        Raises:
            Exception: What went wrong in the thread, which has ended by that.
        """
        if self._going.done():
            self._going.result()
        return tuple(self._found)

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            self._found.append(self._do())
            self._stopping.wait(self._pause_s)
