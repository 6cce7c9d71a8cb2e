"""Long work is done in slices: short requests keep their pace beside it."""

from collections import Counter
from collections.abc import Iterable

import gevent
import pytest
from gevent import socket

from api.time_slices import (
    IN_A_ROW,
    LITTLE_SLICES,
    PAUSE_S,
    SHORT_S,
    SLICE_S,
    WAIT_MAX_S,
    TimeSlices,
)

SLICES = 60


class Worked:
    """A clock that moves with the work that is done, and that notes when others have a turn."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self.slept_for: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note how much was done when others have their turn."""
        self.slept.append(self.seconds)

    def work(self, seconds: float) -> None:
        """Note how long others have their turn, and let so much time pass."""
        self.slept_for.append(seconds)
        self.seconds += seconds


def test_others_have_a_turn_after_each_slice_of_work() -> None:
    """Others have one turn after each slice of work, however often pause_if_due() is called."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.sleep, turn=lambda: 1)

    for _ in range(100):
        worked.seconds += SLICE_S / 10
        slices.pause_if_due()

    assert 9 <= len(set(worked.slept)) <= 10


@pytest.mark.parametrize("turn", [1, 2])
def test_a_request_begins_at_once_unless_this_turn_of_the_loop_is_used(turn: int) -> None:
    """A request waits only where others have worked for a slice since sockets were looked at."""
    worked = Worked()
    turns = [1]
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.sleep, turn=lambda: turns[0])
    worked.seconds += 100
    slices.start()

    worked.seconds += 2 * SLICE_S
    turns[0] = turn
    slices.start()

    assert bool(worked.slept) == (turn == 1)


PIECES = 5
"""Pieces of work in a slice."""


class Turns:
    """Greenlets that work on a clock of their own, in slices of a real event loop.

    Attributes:
        order: Who did each piece of work, and in which turn of the loop.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self.order: list[tuple[str, int]] = []
        self.slices = TimeSlices(now=lambda: self._pieces, slice_s=PIECES)

    def work(self, who: str, pieces: int) -> None:
        """Do pieces of work, as a request does."""
        self.slices.start(is_little=who == "little")
        for _ in range(pieces):
            self._pieces += 1
            self.order.append((who, gevent.get_hub().loop.iteration))
            self.slices.pause_if_due()

    def spawn(self, names: Iterable[str], pieces: int) -> list[gevent.Greenlet]:
        """Return greenlets that work, one for each name."""
        return [gevent.spawn(self.work, name, pieces) for name in names]


def test_little_work_comes_together() -> None:
    """Little work of one turn of the loop is done in it, for LITTLE_SLICES in all."""
    turns = Turns()

    gevent.joinall(turns.spawn(["little"] * 100, 1))

    assert len(turns.order) == 100
    assert max(Counter(turn for _, turn in turns.order).values()) == LITTLE_SLICES * PIECES


@pytest.mark.parametrize("pieces", [1, 4, 20])
def test_all_together_work_for_a_slice_in_a_turn_of_the_loop(pieces: int) -> None:
    """However many begin at once, they work for a slice in all until sockets are looked at."""
    turns = Turns()

    gevent.joinall(turns.spawn(map(str, range(64)), pieces))

    assert len(turns.order) == 64 * pieces
    assert max(Counter(turn for _, turn in turns.order).values()) <= PIECES


@pytest.mark.parametrize("who", ["little", "new"])
def test_who_begins_goes_before_long_work(who: str) -> None:
    """A request that begins has its first slice after two of others, however many there are."""
    turns = Turns()
    long = turns.spawn(map(str, range(64)), 1000)
    while len(turns.order) < 64 * 10:
        gevent.sleep(0)
    begun = len(turns.order)

    gevent.joinall(turns.spawn([who], 1))
    before = [other for other, _ in turns.order[begun:]].index(who)
    gevent.killall(long)

    assert before <= 2 * PIECES


def test_little_work_goes_before_any_number_that_begin() -> None:
    """Little work waits for two slices of others, though all of them only begin."""
    turns = Turns()
    beginning = turns.spawn(map(str, range(64)), 1000)
    gevent.sleep(0)

    gevent.joinall(turns.spawn(["little"], 1))
    gevent.killall(beginning)

    assert turns.order.index(next(each for each in turns.order if each[0] == "little")) <= (
        2 * PIECES
    )


def test_long_work_goes_on_beside_any_number_that_begin() -> None:
    """Long work has a turn after IN_A_ROW that begin, and all of it gets on alike."""
    turns = Turns()
    long = turns.spawn(["a", "b"], 1000)
    gevent.sleep(0)

    gevent.joinall(turns.spawn(["new"] * 200, PIECES - 1))
    gevent.killall(long)
    done = Counter(who for who, _ in turns.order)

    assert abs(done["a"] - done["b"]) <= 2 * PIECES
    assert done["a"] + done["b"] >= 200 / IN_A_ROW


def test_who_is_gone_holds_nobody_up() -> None:
    """Of greenlets that end while they wait for their turn, no other has to wait for ever."""
    turns = Turns()
    waiting = turns.spawn(map(str, range(9)), 1000)
    gevent.sleep(0)
    gevent.killall(waiting)

    gevent.joinall(turns.spawn(["next"], 1), timeout=60)

    assert turns.order[-1][0] == "next"


def test_sockets_are_looked_at_between_any_two_slices() -> None:
    """Five exchanges over a socket take at most 20 slices of three workers."""
    done = 0
    slices = TimeSlices()

    def work() -> None:
        nonlocal done
        for _ in range(SLICES):
            until = gevent.get_hub().loop.now() + 2 * SLICE_S
            while gevent.get_hub().loop.update_now() or gevent.get_hub().loop.now() < until:
                pass
            done += 1
            slices.pause_if_due()

    here, there = socket.socketpair()

    def echo() -> None:
        while said := there.recv(1):
            there.sendall(said)

    echoing = gevent.spawn(echo)
    working = [gevent.spawn(work) for _ in range(3)]
    gevent.sleep(0)
    begun = done
    for _ in range(5):
        here.sendall(b"x")
        assert here.recv(1) == b"x"
    took = done - begun
    gevent.killall([echoing, *working])
    here.close()
    there.close()

    assert took <= 20


def test_who_is_alone_loses_no_time() -> None:
    """A pause is short if nobody else uses its turns, and long if somebody does."""
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float, used: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += used

    def pause(used: float) -> float:
        slept.clear()
        slices = TimeSlices(
            now=lambda: now, sleep=lambda seconds: sleep(seconds, used), turn=lambda: -1
        )
        sleep(0, SLICE_S)
        slices.pause_if_due()
        return max(slept)

    assert pause(used=1e-5) < PAUSE_S / 100
    assert pause(used=0.001) == PAUSE_S


def test_a_long_request_waits_for_a_short_one() -> None:
    """It waits after its slice until the short one has ended, but not for ever."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work, turn=lambda: -1)
    short = gevent.spawn(slices.begin_request)
    short.join()

    worked.seconds += SLICE_S
    slices.pause_if_due()

    assert sum(worked.slept_for) >= WAIT_MAX_S
    assert sum(worked.slept_for) < 2 * WAIT_MAX_S


def test_nobody_waits_for_a_request_that_turns_out_to_be_long() -> None:
    """A request is long once it has taken its time, or says so; it waits for no other long one."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work, turn=lambda: -1)

    def ask() -> None:
        slices.begin_request()
        worked.seconds += SHORT_S
        slices.pause_if_due()

    def ask_much() -> None:
        slices.begin_request()
        slices.become_long()

    for each in (ask, ask_much):
        gevent.spawn(each).join()
    worked.slept_for.clear()
    worked.seconds += SLICE_S
    slices.pause_if_due()

    assert sum(worked.slept_for) < WAIT_MAX_S / 10


def test_nobody_waits_for_a_request_that_itself_waits_for_redis() -> None:
    """A request is short for its first moments only, also if it does nothing after them."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work, turn=lambda: -1)
    gevent.spawn(slices.begin_request).join()

    worked.seconds += SHORT_S + SLICE_S
    slices.pause_if_due()

    assert sum(worked.slept_for) < WAIT_MAX_S / 10


def test_a_short_request_waits_for_no_long_one() -> None:
    """What others have worked is not counted against a request that has just begun."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work, turn=lambda: -1)

    worked.seconds += SLICE_S
    slices.begin_request()
    slices.pause_if_due()
    slices.end_request()

    assert not worked.slept_for
