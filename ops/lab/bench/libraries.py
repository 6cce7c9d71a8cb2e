"""The libraries that are compared, each set up to send to where it is told.

What is not installed is left out: ``pip install '.[bench]'``.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from metrics import Client
from ops.lab.bench.receiver import Destination

KEY = "checkout.web-1"
VALUE = 123.4
REFILL = 5000
FOREVER_S = 3600.0


def _nothing() -> None:
    """Leave it to the threads that there are."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library, ready to record.

    Attributes:
        record: Records one response time.
        arguments: Of each call.
        noticed: How many messages it knows not to have arrived.
        between: Called now and then while a flush is to run, to keep it busy.
    """

    record: Callable[..., object]
    arguments: tuple[object, ...]
    noticed: Callable[[], int]
    between: Callable[[], None] = _nothing


@contextmanager
def idle(to: Destination, calls: int) -> Iterator[Library]:
    """Our client, with room for all calls, and nothing to do for its thread meanwhile."""
    with Client(
        to.urls, max_buffered=4 * calls, batch_size=2 * calls, flush_seconds=FOREVER_S
    ) as client:
        client.record(KEY, VALUE)
        client.flush()
        yield _ours(client)


@contextmanager
def flushing(to: Destination, calls: int) -> Iterator[Library]:
    """Our client, whose thread always has batches to send."""
    with Client(to.urls, max_buffered=calls + 4 * REFILL, flush_seconds=0.01) as client:

        def refill() -> None:
            if client.stats.buffered < REFILL:
                for _ in range(REFILL):
                    client.record(KEY, VALUE)

        yield _ours(client, refill)


@contextmanager
def roomy(to: Destination, calls: int) -> Iterator[Library]:
    """Our client, with room for all calls."""
    client = Client(to.urls, max_buffered=4 * calls, flush_seconds=0.01)
    yield _ours(client)
    client.close(timeout=0.0)


@contextmanager
def full(to: Destination, calls: int) -> Iterator[Library]:
    """Our client, with no room left."""
    client = Client(to.urls, max_buffered=2, flush_seconds=0.01)
    for _ in range(3):
        client.record(KEY, VALUE)
    yield _ours(client)
    client.close(timeout=0.0)


def _ours(client: Client, between: Callable[[], None] = _nothing) -> Library:
    def noticed() -> int:
        stats = client.stats
        return stats.dropped + stats.buffered

    return Library(client.record, (KEY, VALUE), noticed, between)


@contextmanager
def statsd(to: Destination, calls: int) -> Iterator[Library]:
    """statsd: a datagram each call."""
    client = importlib.import_module("statsd").StatsClient("127.0.0.1", to.udp_port)
    yield Library(client.timing, (KEY, VALUE), lambda: 0)
    client.close()


@contextmanager
def datadog(to: Destination, calls: int) -> Iterator[Library]:
    """Datadog as it is by default: a datagram each call."""
    with _datadog(to) as client:
        yield Library(client.histogram, (KEY, VALUE), lambda: _dropped(client))


@contextmanager
def datadog_buffered(to: Destination, calls: int) -> Iterator[Library]:
    """Datadog with its buffer: many messages a datagram, when it is full or after 0.3 s."""
    with _datadog(to, disable_buffering=False) as client:
        yield Library(client.histogram, (KEY, VALUE), lambda: _dropped(client))


@contextmanager
def datadog_flushing(to: Destination, calls: int) -> Iterator[Library]:
    """Datadog with its buffer, which is flushed all the time."""
    with _datadog(to, disable_buffering=False) as client, _repeating(client.flush_buffered_metrics):
        yield Library(client.histogram, (KEY, VALUE), lambda: _dropped(client))


@contextmanager
def datadog_background(to: Destination, calls: int) -> Iterator[Library]:
    """Datadog with its sender: datagrams are queued for a thread that sends them."""
    with _datadog(to, disable_background_sender=False, sender_queue_size=10_000) as client:
        yield Library(client.histogram, (KEY, VALUE), lambda: _dropped(client))


@contextmanager
def datadog_kept(to: Destination, calls: int) -> Iterator[Library]:
    """Datadog with a buffer that holds everything, to see what it takes."""
    with _datadog(
        to, disable_buffering=False, flush_interval=FOREVER_S, max_buffer_len=2**30
    ) as client:
        yield Library(client.histogram, (KEY, VALUE), lambda: _dropped(client))


@contextmanager
def prometheus(to: Destination, calls: int) -> Iterator[Library]:
    """prometheus_client: counts in memory, and sends nothing by itself."""
    yield _prometheus(importlib.import_module("prometheus_client").CollectorRegistry())


@contextmanager
def prometheus_scraped(to: Destination, calls: int) -> Iterator[Library]:
    """prometheus_client, which is asked for its counts all the time."""
    module = importlib.import_module("prometheus_client")
    registry = module.CollectorRegistry()
    library = _prometheus(registry)
    with _repeating(lambda: module.generate_latest(registry)):
        yield library


def _prometheus(registry: object) -> Library:
    make = importlib.import_module("prometheus_client").Histogram
    histogram = make("checkout", "Response times.", registry=registry)
    return Library(histogram.observe, (VALUE,), lambda: 0)


@contextmanager
def _datadog(to: Destination, **options: object) -> Iterator[Any]:
    make = importlib.import_module("datadog.dogstatsd.base").DogStatsd
    client = make("127.0.0.1", to.udp_port, **options)
    yield client
    client.stop()


def _dropped(client: Any) -> int:  # noqa: ANN401  it may not be installed
    return int(client.packets_dropped)


@contextmanager
def _repeating(act: Callable[[], object]) -> Iterator[None]:
    """Have something done again and again in a thread."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.001):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


SetUp = Callable[[Destination, int], AbstractContextManager[Library]]
"""Sets a library up for so many calls, and takes it down again."""
