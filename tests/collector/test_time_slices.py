"""Long work is done in slices: short requests keep their pace beside it."""

import gevent
from gevent import socket

from api.time_slices import PAUSE_S, SHORT_S, SLICE_S, WAIT_MAX_S, TimeSlices

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
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.sleep)

    for _ in range(100):
        worked.seconds += SLICE_S / 10
        slices.pause_if_due()

    assert 9 <= len(set(worked.slept)) <= 10


def test_a_request_begins_with_a_slice_of_its_own() -> None:
    """A request begins with a slice of its own, whatever was done before."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.sleep)

    worked.seconds += 100
    slices.start()
    slices.pause_if_due()

    assert not worked.slept


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
        slices = TimeSlices(now=lambda: now, sleep=lambda seconds: sleep(seconds, used))
        sleep(0, SLICE_S)
        slices.pause_if_due()
        return max(slept)

    assert pause(used=1e-5) < PAUSE_S / 100
    assert pause(used=0.001) == PAUSE_S


def test_a_long_request_waits_for_a_short_one() -> None:
    """It waits after its slice until the short one has ended, but not for ever."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work)
    short = gevent.spawn(slices.begin_request)
    short.join()

    worked.seconds += SLICE_S
    slices.pause_if_due()

    assert sum(worked.slept_for) >= WAIT_MAX_S
    assert sum(worked.slept_for) < 2 * WAIT_MAX_S


def test_nobody_waits_for_a_request_that_turns_out_to_be_long() -> None:
    """A request is long once it has taken its time, or says so; it waits for no other long one."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work)

    def ask() -> None:
        slices.begin_request()
        worked.seconds += SHORT_S
        slices.pause_if_due()

    def ask_much() -> None:
        slices.begin_request()
        slices.mark_long()

    for each in (ask, ask_much):
        gevent.spawn(each).join()
    worked.slept_for.clear()
    worked.seconds += SLICE_S
    slices.pause_if_due()

    assert sum(worked.slept_for) < WAIT_MAX_S / 10


def test_a_short_request_waits_for_no_long_one() -> None:
    """What others have worked is not counted against a request that has just begun."""
    worked = Worked()
    slices = TimeSlices(now=lambda: worked.seconds, sleep=worked.work)

    worked.seconds += SLICE_S
    slices.begin_request()
    slices.pause_if_due()
    slices.end_request()

    assert not worked.slept_for
