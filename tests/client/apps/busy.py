"""An app that is busy with other things: ``busy.py <scenario> <collector>``."""

import asyncio
import json
import logging
import sys
import threading
import time
from dataclasses import asdict

from metrics import Client

THREADS = 8
VALUES = 20_000
TASKS = 50
ANSWER_S = 16.0
"""How long a client here waits for an answer: so whoever waits for one is seen to."""


def threads(url: str) -> None:
    """Hammer a small buffer from many threads, and print what became of the values."""
    client = Client(url, flush_seconds=0.0, max_buffered=5000)

    def work(number: int) -> None:
        for value in range(VALUES):
            client.record(f"thread-{number}", value)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    client.close(60)
    print(json.dumps(asdict(client.stats)))


def tasks(url: str) -> None:
    """Record in tasks, and print by how many seconds the event loop was late at most."""
    client = Client(
        url, key="timed", flush_seconds=0.0, answer_seconds=ANSWER_S, max_buffered=20_000
    )

    @client.timer()
    async def work(number: int) -> None:
        for value in range(100):
            client.record(f"task-{number}", value)
            await asyncio.sleep(0.001)

    async def watch() -> float:
        late_s = 0.0
        while len(asyncio.all_tasks()) > 2:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            late_s = max(late_s, time.perf_counter() - began - 0.01)
        return late_s

    async def main() -> None:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(work(number) for number in range(TASKS)))
        print(await watching, flush=True)

    asyncio.run(main())
    sys.stdin.readline()


class Blocking(logging.Handler):
    """Takes all the time that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Wait."""
        self.has_begun.set()
        self.may_end.wait()


def handler_that_blocks(url: str) -> None:
    """Have a first batch refused, and print how long 1,000 values took while that was logged."""
    client = Client(url, flush_seconds=0.0)
    handler = Blocking()
    logging.getLogger().addHandler(handler)
    client.record("refused", 1)
    handler.has_begun.wait()
    began = time.perf_counter()
    for value in range(1000):
        client.record("app", value)
    print(time.perf_counter() - began, flush=True)
    handler.may_end.set()


class Raising(logging.Handler):
    """Fails as handlers may."""

    def emit(self, record: logging.LogRecord) -> None:
        """Fail.

        Raises:
            LookupError: Always.
        """
        raise LookupError("the app's own")


class Recording(logging.Handler):
    """Counts what is logged, with the client that logs it."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        """Record, and more than once."""
        for value in range(10):
            self._client.record("logged", value)


def handlers_that_raise_and_record(url: str) -> None:
    """Have a first batch refused, and go on."""
    client = Client(url, flush_seconds=0.0)
    logging.getLogger().addHandler(Recording(client))
    logging.getLogger().addHandler(Raising())
    client.record("refused", 1)
    assert client.flush(60)
    assert client.stats.rejected == 1
    client.record("app", 1)
    assert client.flush(60)


if __name__ == "__main__":
    import tests.client.apps.patience  # noqa: F401  (for what it sets)

    globals()[sys.argv[1]](sys.argv[2])
