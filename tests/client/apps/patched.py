"""An app that gevent patches at some time: ``patched.py <scenario> <collector>``.

Nothing of the client is imported at the top: when that happens is what the scenarios are about.
"""

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metrics import Client

VALUES = 100
GREENLETS = 10
ANSWER_S = 16.0
"""How long a client waits for one of a collector that hangs."""


def patch() -> None:
    """Patch everything, as gunicorn's gevent worker and others do."""
    from gevent import monkey

    monkey.patch_all()


def record_in_greenlets(client: "Client") -> None:
    """Record from many greenlets, and leave the delivery to the exit."""
    import gevent

    def work(number: int) -> None:
        for value in range(VALUES):
            client.record(f"greenlet-{number}", value)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(work, number) for number in range(GREENLETS)], raise_error=True)


def before_import(url: str) -> None:
    """Patch first, as gevent asks for."""
    patch()
    from metrics import Client

    record_in_greenlets(Client(url))


def after_import(url: str) -> None:
    """Patch when the client is imported already."""
    from metrics import Client

    patch()
    record_in_greenlets(Client(url))


def after_construction(url: str) -> None:
    """Patch when there is a client already."""
    from metrics import Client

    client = Client(url)
    patch()
    record_in_greenlets(client)


def after_the_first_record(url: str) -> None:
    """Patch when the client's sender runs already, as a thread."""
    from metrics import Client

    client = Client(url, flush_seconds=0.05)
    client.record("first", 1)
    patch()
    record_in_greenlets(client)


def collector_that_hangs(url: str) -> None:
    """Print by how many seconds a greenlet was late, at most, while others record."""
    patch()
    import gevent

    from metrics import Client

    client = Client(url, flush_seconds=0.01, answer_seconds=ANSWER_S)
    late_s = 0.0

    def work() -> None:
        while True:
            client.record("checkout.web-1", 1.0)
            gevent.sleep(0.001)

    workers = [gevent.spawn(work) for _ in range(GREENLETS)]
    for _ in range(100):
        began = time.perf_counter()
        gevent.sleep(0.01)
        late_s = max(late_s, time.perf_counter() - began - 0.01)
    gevent.killall(workers)
    print(late_s, flush=True)
    sys.stdin.readline()


def thread_pool(url: str) -> None:
    """Record in threads that have no loop of their own, and from the very first value on."""
    patch()
    import gevent

    from metrics import Client

    client = Client(url, flush_seconds=0.05)
    pool = gevent.get_hub().threadpool

    def work(number: int) -> None:
        for value in range(VALUES):
            client.record(f"greenlet-{number}", value)

    for number in range(GREENLETS):
        pool.apply(work, (number,))
    print("recorded", flush=True)
    while not client.flush(0.1):
        gevent.sleep(0.01)


def fork_while_values_wait(url: str) -> None:
    """Fork with a sender that is a greenlet, and so is there in the child as well."""
    patch()
    import gevent

    from metrics import Client

    client = Client(url, flush_seconds=0.3)
    client.record("parent", 1)
    gevent.sleep(0.01)
    pid = os.fork()
    client.record("child" if pid == 0 else "parent", 2)
    gevent.sleep(0.6)
    client.record("child" if pid == 0 else "parent", 3)
    if pid:
        _, status = os.waitpid(pid, 0)
        assert status == 0


def fork_during_a_request(url: str) -> None:
    """Fork while the sender waits for an answer."""
    patch()
    import gevent

    from metrics import Client

    client = Client(url, flush_seconds=0.05, answer_seconds=60.0)
    client.record("parent", 1)
    sys.stdin.readline()
    client.record("parent", 2)
    pid = os.fork()
    client.record("child" if pid == 0 else "parent", 3)
    gevent.sleep(0.3)
    if pid:
        _, status = os.waitpid(pid, 0)
        assert status == 0


def first_record_in_a_callback(url: str) -> None:
    """Record first in a callback of the loop, where nothing may wait."""
    patch()
    import gevent

    from metrics import Client

    client = Client(url, flush_seconds=0.05)
    hub = gevent.get_hub()
    for value in range(3):
        hub.loop.run_callback(client.record, "callback", value)
    gevent.sleep(0.05)
    client.record("greenlet", 1)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
    import tests.client.apps.patience  # noqa: F401  (for what it sets)
