"""Small requests are answered beside the worst bodies, in a real collector."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis
from tests.collector.test_bodies import JSON, NDJSON, TEXT
from tests.collector.test_hostile_bodies import NOW, RFC_3339, array, column, lines, numbers_of

LENGTH = 2_000_000
WORST = {
    "rows with float times": (JSON, array(f'{{"key":"a","value":1,"timestamp":{NOW}}}', LENGTH)),
    "a column of hard numbers": (JSON, column(numbers_of(2 * LENGTH))),
    "lines": (TEXT, lines("a,1", 150_000 * 4)),
    "ndjson with times": (NDJSON, lines(RFC_3339, LENGTH)),
}
SMALL_MIN = 15
"""How many small requests are answered one after the other while one such body is read. Where the
loop only seems to have its turn, there are two or three."""

TRIES = 5
"""Others may have the cores while a body is read; what waits by itself does so each time."""


@pytest.fixture
def collector(own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Service]:
    """Yield a collector of one process."""
    service = Service("collector", own_redis.url, tmp_path / "log", WEB_CONCURRENCY="1")
    yield service.start()
    service.kill()


def test_small_requests_are_answered_beside_the_worst_bodies(collector: Service) -> None:
    """While one of the worst bodies is read, SMALL_MIN small requests or more get a 202."""
    statuses: list[int] = []
    is_over = Event()

    def send_small_ones() -> None:
        while not is_over.is_set():
            statuses.append(collector.post(json.dumps({"key": "small", "value": 1})).status)

    sending = Thread(target=send_small_ones)
    sending.start()
    answered: dict[str, int] = {}
    try:
        for name, (kind, body) in WORST.items():
            for _ in range(TRIES):
                before = len(statuses)
                collector.post(body, Content_Type=kind)
                answered[name] = len(statuses) - before
                if answered[name] >= SMALL_MIN:
                    break
    finally:
        is_over.set()
        sending.join()

    assert set(statuses) == {202}
    assert min(answered.values()) >= SMALL_MIN, answered
