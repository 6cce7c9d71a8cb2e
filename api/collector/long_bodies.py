"""Long bodies wait for each other: what is made of one while it is read takes much room."""

from collections.abc import Iterator
from contextlib import contextmanager

import falcon
from gevent.lock import BoundedSemaphore

from api.problems import Problem
from api.time_slices import has_greenlets

LONG_BYTES = 131_072
"""What is longer waits for a place."""

PLACES = 8
"""How many long bodies a process reads at once."""

WAIT_S = 10.0
"""How long one waits for its place."""


class Place:
    """The place of one body, if it needs one.

    Args:
        places: All there are; None if there are enough.
        wait_s: How long to wait for one, in seconds.
    """

    def __init__(self, places: BoundedSemaphore | None, wait_s: float) -> None:
        self._places = places
        self._wait_s = wait_s
        self._is_taken = False

    def take_if_long(self, length: int) -> None:
        """Wait for a place, if a body is long and has none yet.

        Raises:
            Problem: If others have all places for too long.
        """
        if self._places is None or self._is_taken or length <= LONG_BYTES:
            return
        if not self._places.acquire(timeout=self._wait_s):
            raise Problem(
                falcon.HTTP_503,
                "Too many long bodies are being read; send this one again later, or in parts of "
                f"at most {LONG_BYTES} bytes.",
                headers={"Retry-After": "1"},
                stored="no",
            )
        self._is_taken = True

    def leave(self) -> None:
        """Give the place to the next."""
        if self._places is not None and self._is_taken:
            self._is_taken = False
            self._places.release()


class LongBodies:
    """The places for long bodies. One for each process.

    Args:
        places: How many there are; as many as are wanted under threads, if not given.
        wait_s: How long a body waits for one, in seconds.
    """

    def __init__(self, places: int | None = None, *, wait_s: float = WAIT_S) -> None:
        if places is None and has_greenlets():
            places = PLACES
        self._places = None if places is None else BoundedSemaphore(places)
        self._wait_s = wait_s

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Yield the place of a body, which leaves it at the end."""
        place = Place(self._places, self._wait_s)
        try:
            yield place
        finally:
            place.leave()
