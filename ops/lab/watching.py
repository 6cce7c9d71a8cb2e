"""Looking at something again and again while something else happens."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event


@contextmanager
def watched(look: Callable[[], object], every_s: float) -> Iterator[None]:
    """Look every few seconds, in a thread, for as long as the context lasts.

    Raises:
        Exception: What a look raised, at the end.
    """
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(every_s):
            look()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            is_over.set()
        watching.result()
