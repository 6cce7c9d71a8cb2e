"""An app that ends, each time in another way: ``exits.py <scenario> <collector>``.

Values would wait for a minute: what arrives was delivered by the end of the process.
"""

import atexit
import os
import sys
import threading
import time
from pathlib import Path

from metrics import Client

VALUES = 10


def record(client: Client, key: str = "app") -> None:
    """Record some values."""
    for value in range(VALUES):
        client.record(key, value)


def used(url: str) -> Client:
    """Return a client with values that wait."""
    client = Client(url, flush_seconds=60.0)
    record(client)
    return client


def falling_off_the_end(url: str) -> None:
    """End as most scripts do."""
    used(url)


def sys_exit(url: str) -> None:
    """End by sys.exit()."""
    used(url)
    sys.exit(0)


def an_exception(url: str) -> None:
    """Fail.

    Raises:
        LookupError: Always.
    """
    used(url)
    raise LookupError("the app's own")


def keyboard_interrupt(url: str) -> None:
    """End as Ctrl-C ends a script.

    Raises:
        KeyboardInterrupt: Always.
    """
    used(url)
    raise KeyboardInterrupt


def sys_exit_in_a_thread(url: str) -> None:
    """End a thread, which is no end of the process, and then the process."""
    client = Client(url, flush_seconds=60.0)

    def work() -> None:
        record(client)
        sys.exit(0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def a_thread_that_outlives_main(url: str) -> None:
    """Record when the main thread has ended already."""
    client = used(url)
    main = threading.current_thread()

    def work() -> None:
        main.join()
        record(client, "late")

    threading.Thread(target=work).start()


def a_flush_and_no_more(url: str) -> None:
    """Ask for delivery, and end without any of the functions of the exit."""
    client = used(url)
    os._exit(not client.flush(60))


def os_exit(url: str) -> None:
    """End at once."""
    used(url)
    os._exit(3)


def a_collector_that_hangs(url: str) -> None:
    """End while no answer comes; say when the end begins."""
    client = Client(url, flush_seconds=0.0, answer_seconds=60.0)
    client.record("app", 1)
    sys.stdin.readline()
    record(client)
    print(time.time(), flush=True)


def functions_of_the_exit(url: str) -> None:
    """Record in exit functions, before the client has delivered and afterwards."""
    clients: list[Client] = []
    atexit.register(lambda: record(clients[0], "after"))
    clients.append(Client(url, flush_seconds=60.0))
    atexit.register(record, clients[0], "before")
    record(clients[0])


def first_use_in_a_function_of_the_exit(url: str) -> None:
    """Record first when the interpreter ends already."""
    client = Client(url, flush_seconds=60.0)
    atexit.register(record, client)


def first_use_in_the_last_moment(url: str) -> None:
    """Record first when the interpreter takes its modules apart."""
    client = Client(url, flush_seconds=60.0)
    here = Path(__file__)

    class Last:
        def __del__(self) -> None:
            client.record("app", here.stat().st_size)

    sys.modules["a module that is taken apart"] = Last()  # type: ignore[assignment]


if __name__ == "__main__":
    if sys.argv[1] != "a_collector_that_hangs":
        import tests.client.apps.patience  # noqa: F401  (for what it sets)
    globals()[sys.argv[1]](sys.argv[2])
