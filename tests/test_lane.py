"""When a lane sends: at once where few requests come, with more others where many do."""

from collections.abc import Sequence
from time import monotonic

import gevent

from api.lane import PAUSE_MAX_S, PAUSE_PER_ITEM_S, Item, Lane, Waiting
from metrics.entry import Column
from metrics.stream import Batch

BATCH = Batch({0: [Column("2026-11-23T14:checkout.web-1", "1.0", 1)]})
MANY = int(PAUSE_MAX_S / PAUSE_PER_ITEM_S) + 10


class Sent(list[int]):
    """The number of items in each group that a lane sent."""

    def send(self, items: Sequence[Item]) -> list[object]:
        """Take a group."""
        self.append(len(items))
        return [{}] * len(items)


def join(lane: Lane) -> Waiting:
    """Put a request in line."""
    return lane.join(BATCH, 3, monotonic() + 5)


def test_a_request_alone_waits_for_no_other() -> None:
    """One after the other, each is a group of its own."""
    sent = Sent()
    lane = Lane(sent.send)

    for _ in range(3):
        assert lane.outcome_of(join(lane)) == {}

    assert sent == [1, 1, 1]


def test_after_a_large_group_the_next_lets_more_come() -> None:
    """What comes within the pause goes together, and what comes after it does not."""
    sent = Sent()
    lane = Lane(sent.send)

    for waiting in [join(lane) for _ in range(MANY)]:
        lane.outcome_of(waiting)
    first = join(lane)
    gevent.sleep(PAUSE_MAX_S / 4)
    second = join(lane)
    for waiting in (first, second):
        assert lane.outcome_of(waiting) == {}
    third = join(lane)
    assert lane.outcome_of(third) == {}

    assert sent == [MANY, 2, 1]


def test_a_lane_whose_only_request_is_gone_before_its_sender_comes_goes_on() -> None:
    """As when the process stood still in between, and the deadline was over first."""
    sent = Sent()
    lane = Lane(sent.send)

    lane._late(join(lane))
    gevent.sleep(0)

    assert lane.outcome_of(join(lane)) == {}
    assert sent == [1]
