"""These clients flush soon, and record values that are easy to distinguish."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from metrics import Client
from tests.support.fake_collector import FakeCollector


@contextmanager
def client_of(*collectors: FakeCollector | str, **options: float | str) -> Iterator[Client]:
    """Return a client that flushes soon.

    An answer may take long, so that a busy machine is not taken for a collector that hangs.
    """
    urls = [each if isinstance(each, str) else each.url for each in collectors]
    defaults: dict[str, Any] = {"flush_seconds": 0.02, "answer_seconds": 30.0}
    client = Client(urls, environ={}, **{**defaults, **options})
    try:
        yield client
    finally:
        client.close(timeout=0.5)


def record(client: Client, count: int, key: str = "a") -> None:
    """Record 1.0, 2.0 and so on."""
    for number in range(count):
        client.record(key, number + 1.0)


def all_of(count: int) -> list[float]:
    """Return what ``record`` has recorded."""
    return [number + 1.0 for number in range(count)]
