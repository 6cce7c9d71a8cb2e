"""Few long bodies are read at once, since each takes much room while it is."""

from collections.abc import Mapping

import falcon
import gevent
import pytest

from api.access import EVERYTHING, Access
from api.collector.key_limit import Keys, Refusal, TooManyAtOnceError
from api.collector.long_bodies import LONG_BYTES, LongBodies
from api.collector.messages import Messages
from api.collector.post import Post
from api.collector.series import MessageSeries
from api.problems import Problem
from api.time_slices import TimeSlices
from metrics.hours import Hour
from metrics.shared_cells import SharedCells
from metrics.stream import Batch
from ops.lab.simulation.collector import EveryKey


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


def messages_of(commit: object, keys: Keys) -> Messages:
    """Return the collector's resource for messages."""
    return Messages(
        commit,
        access=Access(()),
        series=MessageSeries(SharedCells()),
        keys=keys,
        partitions=16,
        retention_days=30,
        body_max_bytes=1,
        now=lambda: 0.0,
        slices=TimeSlices(),
    )


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


def test_few_long_bodies_wait_for_their_new_keys() -> None:
    """As many as are read wait for something else; a further one is answered 503."""
    bodies = LongBodies(1)

    with bodies.place() as waiting, bodies.place() as other, bodies.place() as short:
        for place in (waiting, other):
            place.take_if_long(LONG_BYTES + 1)
            if place is waiting:
                place.rest()
        short.rest()
        with pytest.raises(Problem, match="503") as caught:
            other.rest()
        waiting.leave()
        other.rest()

    assert caught.value.members["stored"] == "no"


def test_who_waits_for_redis_has_no_place() -> None:
    """A long body is in the queue of its node by then, and others are read meanwhile."""
    bodies = LongBodies(1, wait_s=0.0)
    reading = Reading(bodies)

    class Commit:
        def append(self, batch: Batch, deadline: float) -> None:
            reading.read(LONG_BYTES + 1)

    messages = messages_of(Commit(), EveryKey())
    with bodies.place() as place:
        place.take_if_long(LONG_BYTES + 1)
        post = Post(lambda builder: builder.add("a", 1.0), EVERYTHING, None, place)
        messages.take(post, falcon.Response())

    assert (reading.most, reading.refused) == (1, [])


def test_who_waits_for_new_keys_to_be_let_in_has_no_place() -> None:
    """New keys may have to wait for long, and other long bodies are read meanwhile."""
    bodies = LongBodies(1, wait_s=0.0)
    reading = Reading(bodies)

    class WaitingKeys(EveryKey):
        def is_unknown(self, key: str) -> bool:
            return True

        def let_in(self, keys: Mapping[str, Hour]) -> Refusal:
            reading.read(LONG_BYTES + 1)
            raise TooManyAtOnceError("later")

    messages = messages_of(None, WaitingKeys())
    with bodies.place() as place:
        place.take_if_long(LONG_BYTES + 1)
        post = Post(lambda builder: builder.add("a", 1.0), EVERYTHING, None, place)
        with pytest.raises(Problem, match="429"):
            messages.take(post, falcon.Response())

    assert (reading.most, reading.refused) == (1, [])
