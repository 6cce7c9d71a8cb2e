"""An app that forks: ``forks.py <scenario> <collector>``. Each process has a key of its own."""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable

from metrics import Client

VALUES = 10
LATER = 60.0
"""Seconds after which waiting values would be sent: none of these processes lives so long."""


def record(client: Client, key: str) -> None:
    """Record as many values as each process does."""
    for value in range(VALUES):
        client.record(key, value)


def fork(child: Callable[[], None], call: Callable[[], int] = os.fork) -> int:
    """Do something in a forked child, which then exits as interpreters do."""
    pid = call()
    if pid == 0:
        child()
        sys.exit()
    return pid


def has_ended_well(pid: int) -> None:
    """Wait for a child."""
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"a child has ended with {status}"


def family(client: Client, call: Callable[[], int] = os.fork) -> None:
    """Record in three children and in their parent."""
    children = [
        fork(lambda key=f"child-{number}": record(client, key), call) for number in range(3)
    ]
    record(client, "parent")
    for pid in children:
        has_ended_well(pid)


def before_use(url: str) -> None:
    """Fork while there is no thread yet."""
    family(Client([url]))


def after_use(url: str) -> None:
    """Fork while the sender waits for something to do."""
    client = Client([url], flush_seconds=0.05)
    client.record("first", 1)
    assert client.flush(60)
    family(client)


def while_values_wait(url: str) -> None:
    """Fork with a buffer that is not empty."""
    client = Client([url], flush_seconds=LATER)
    client.record("first", 1)
    family(client)


def during_a_request(url: str) -> None:
    """Fork while the sender waits for an answer, which comes when the child has asked, too."""
    client = Client([url], flush_seconds=0.05, answer_seconds=60.0)
    client.record("first", 1)
    sys.stdin.readline()
    family(client)
    assert client.flush(60)


def grandchildren(url: str) -> None:
    """Fork in a child in a child, each with a sender and with values that wait."""
    client = Client([url], flush_seconds=LATER)

    def live(generation: int) -> None:
        record(client, f"child-{generation}")
        if generation < 2:
            has_ended_well(fork(lambda: live(generation + 1)))

    record(client, "parent")
    has_ended_well(fork(lambda: live(0)))


def from_a_thread(url: str) -> None:
    """Fork in one thread while others record; 10,000 values each."""
    client = Client([url], flush_seconds=0.01, max_buffered=1_000_000)

    def hammer(key: str) -> None:
        for value in range(10_000):
            client.record(key, value)

    def fork_often() -> None:
        for number in range(20):
            pid = os.fork()
            if pid == 0:
                record(client, f"child-{number}")
                # A thread that has become the only one ends without the functions of the exit.
                os._exit(not client.flush(60))
            has_ended_well(pid)

    threads = [threading.Thread(target=hammer, args=(f"thread-{n}",)) for n in range(3)]
    threads.append(threading.Thread(target=fork_often))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def unnoticed(url: str) -> None:
    """Fork children that end by ``os._exit``, once what they recorded at first was sent."""
    client = Client([url], flush_seconds=LATER)

    def child(key: str) -> None:
        record(client, key)
        give_up = time.monotonic() + 60
        while client.stats.sent < VALUES and time.monotonic() < give_up:
            time.sleep(0.001)
        os._exit(client.stats.sent != VALUES)

    record(client, "parent")
    for number in range(3):
        has_ended_well(fork(lambda key=f"child-{number}": child(key)))


def closed(url: str) -> None:
    """Fork with a client that was closed."""
    client = Client([url])
    client.record("first", 1)
    client.close()

    def child() -> None:
        record(client, "child-0")
        assert client.stats.dropped == VALUES

    has_ended_well(fork(child))


def behind_its_back_before_use(url: str) -> None:
    """Fork without the interpreter's knowledge, as uWSGI does, before anything is recorded."""
    family(Client([url]), ctypes.PyDLL(None).fork)


if __name__ == "__main__":
    import tests.client.apps.patience  # noqa: F401  (for what it sets)

    globals()[sys.argv[1]](sys.argv[2])
