"""Long work is done in slices: short requests keep their pace beside it."""

import gevent
from gevent import socket

from api.time_slices import PAUSE_S, SLICE_S, TimeSlices

SLICES = 60


class Worked:
    """A clock that moves with the work that is done, and that notes when others have a turn."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note how much was done when others have their turn."""
        self.slept.append(self.seconds)


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
