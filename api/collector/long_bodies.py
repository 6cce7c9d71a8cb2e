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

WAIT_S = 1.5
"""How long one waits for its place: less than a client waits for its answer."""


class Place:
    """The place of one body, if it needs one.

    Args:
        places: All there are for those that are read; None if there are enough.
        resting: And for those that wait for something else.
        wait_s: How long to wait for one, in seconds.
    """

    def __init__(
        self,
        places: BoundedSemaphore | None,
        resting: BoundedSemaphore | None,
        wait_s: float,
    ) -> None:
        self._places = places
        self._resting = resting
        self._wait_s = wait_s
        self._taken: BoundedSemaphore | None = None

    def take_if_long(self, length: int) -> None:
        """Wait for a place, if a body is long and has none yet.

        Raises:
            Problem: If others have all places for too long.
        """
        if self._places is None or self._taken is not None or length <= LONG_BYTES:
            return
        if not self._places.acquire(timeout=self._wait_s):
            raise _too_many("are being read")
        self._taken = self._places

    def rest(self) -> None:
        """Give the place to the next while this body waits for something else than its turn.

        What was made of it is kept meanwhile, so as many may rest as may be read.

        Raises:
            Problem: If others rest already.
        """
        if self._resting is None or self._taken is not self._places or self._taken is None:
            return
        if not self._resting.acquire(blocking=False):
            raise _too_many("wait for their new keys")
        self._taken.release()
        self._taken = self._resting

    def leave(self) -> None:
        """Give the place to the next."""
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.release()


def _too_many(doing: str) -> Problem:
    return Problem(
        falcon.HTTP_503,
        f"Too many long bodies {doing}; send this one again later, or in parts of at most "
        f"{LONG_BYTES} bytes.",
        headers={"Retry-After": "1"},
        stored="no",
    )


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
        self._resting = None if places is None else BoundedSemaphore(places)
        self._wait_s = wait_s

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Yield the place of a body, which leaves it at the end."""
        place = Place(self._places, self._resting, self._wait_s)
        try:
            yield place
        finally:
            place.leave()
