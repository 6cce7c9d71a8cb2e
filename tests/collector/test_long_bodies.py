"""Few long bodies are read at once, since each takes much room while it is."""

import gevent
import pytest

from api.collector.long_bodies import LONG_BYTES, LongBodies
from api.problems import Problem


class Reading:
    """Requests that read bodies until they are told to end.

    Attributes:
        at_once: How many long bodies are being read.
        most: How many that were at most.
        refused: What those were told who were sent away.
    """

    def __init__(self, bodies: LongBodies) -> None:
        self._bodies = bodies
        self.at_once = 0
        self.most = 0
        self.refused: list[tuple[int, object]] = []

    def read(self, *lengths: int) -> None:
        """Read a body, of which so much is known by and by."""
        with self._bodies.place() as place:
            try:
                for length in lengths:
                    place.take_if_long(length)
            except Problem as problem:
                self.refused.append((problem.status_code, problem.members["stored"]))
                return
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            gevent.sleep(0.001)
            self.at_once -= 1


@pytest.mark.parametrize("lengths", [(LONG_BYTES + 1,), (10, LONG_BYTES + 1, 2 * LONG_BYTES)])
def test_long_bodies_wait_for_each_other(lengths: tuple[int, ...]) -> None:
    """At most so many long bodies are read at once, also those that turn out to be long."""
    reading = Reading(LongBodies(3))

    gevent.joinall([gevent.spawn(reading.read, *lengths) for _ in range(20)])

    assert (reading.most, reading.at_once, reading.refused) == (3, 0, [])


def test_short_bodies_wait_for_nobody() -> None:
    """A body that is not long is read while long ones have all places."""
    bodies = LongBodies(1)
    reading = Reading(bodies)

    with bodies.place() as place:
        place.take_if_long(LONG_BYTES + 1)
        reading.read(LONG_BYTES)

    assert reading.most == 1


def test_who_waits_for_too_long_is_sent_away() -> None:
    """A long body that gets no place is answered 503, and the place is free for others later."""
    bodies = LongBodies(1, wait_s=0.001)
    reading = Reading(bodies)
    with bodies.place() as place:
        place.take_if_long(LONG_BYTES + 1)
        reading.read(LONG_BYTES + 1)
        assert reading.refused == [(503, "no")]

        place.leave()
        reading.read(LONG_BYTES + 1)
    reading.read(LONG_BYTES + 1)

    assert (reading.most, len(reading.refused)) == (1, 1)
