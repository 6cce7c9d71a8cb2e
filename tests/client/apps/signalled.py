"""An app that gets signals: ``signalled.py <scenario> <collector>``."""

import signal
import sys
import time
from contextlib import suppress
from itertools import count
from random import Random
from types import FrameType

from metrics import Client

ROUNDS = 20_000
HANDLED_MIN = 100
"""How often at least each is done; the system decides how soon a signal comes."""


def without_a_handler(url: str) -> None:
    """Wait for the end that the system has for a process."""
    client = Client(url, flush_seconds=60.0)
    client.record("app", 1)
    print("ready", flush=True)
    sys.stdin.readline()


def handler_that_exits(url: str) -> None:
    """End as many apps do."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    without_a_handler(url)


def handler_that_records(url: str) -> None:
    """Record and flush, and do it once more in a handler that interrupts that, many times.

    Print how often each was done.
    """
    client = Client(url, flush_seconds=0.01, max_buffered=1_000_000)
    numbers = count()
    handled: list[int] = []
    depth = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal depth
        value = next(numbers)
        handled.append(value)
        client.record("handler", value)
        if depth < 3:
            depth += 1
            client.flush(0.05)
            depth -= 1

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    for value in count():
        if value >= ROUNDS and len(handled) >= HANDLED_MIN:
            break
        client.record("main", value)
        if value % 2000 == 0:
            client.flush(0.5)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(value, next(numbers))


def handler_that_raises(url: str) -> None:
    """Have the first record cut short at any place, and record once more; 200 clients, one each."""
    random = Random(1)

    rung = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal rung
        rung += 1
        raise TimeoutError

    signal.signal(signal.SIGALRM, handle)
    clients = []
    for value in range(200):
        client = Client(url, flush_seconds=0.0)
        clients.append(client)
        with suppress(TimeoutError):
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-4))
            client.record("cut-short", value)
            while rung == value:  # the alarm comes, however late
                time.sleep(5e-4)
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.record("next", value)
    sys.stdin.readline()


if __name__ == "__main__":
    import tests.client.apps.patience  # noqa: F401  (for what it sets)

    globals()[sys.argv[1]](sys.argv[2])
