"""Small requests are answered beside the worst bodies, in a real collector."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis
from tests.collector.test_bodies import JSON, NDJSON, TEXT
from tests.collector.test_hostile_bodies import NOW, RFC_3339, array, column, lines, numbers_of

LENGTH = 1_000_000
WORST = {
    "rows with float times": (JSON, array(f'{{"key":"a","value":1,"timestamp":{NOW}}}', LENGTH)),
    "a column of hard numbers": (JSON, column(numbers_of(2 * LENGTH))),
    "lines": (TEXT, lines("a,1", LENGTH // 2)),
    "ndjson with times": (NDJSON, lines(RFC_3339, LENGTH)),
}
AT_ONCE = 2
"""How many senders send each of them, all at the same time."""

SMALL_MIN = 60
"""How many small requests are answered one after the other while all such bodies are read. Where
the loop only seems to have its turn, there are some ten."""

TRIES = 5
"""Others may have the cores while bodies are read; what waits by itself does so each time."""


@pytest.fixture
def collector(own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Service]:
    """Yield a collector of one process."""
    service = Service("collector", own_redis.url, tmp_path / "log", WEB_CONCURRENCY="1")
    yield service.start()
    service.kill()


def test_small_requests_are_answered_beside_the_worst_bodies(collector: Service) -> None:
    """While the worst bodies are read, all at once, SMALL_MIN small requests or more get a 202."""
    statuses: list[int] = []
    is_over = Event()

    def send_small_ones() -> None:
        while not is_over.is_set():
            statuses.append(collector.post(json.dumps({"key": "small", "value": 1})).status)

    answered = 0
    with ThreadPoolExecutor(AT_ONCE * len(WORST) + 1) as pool:
        sending = pool.submit(send_small_ones)
        try:
            for _ in range(TRIES):
                before = len(statuses)
                bodies = [
                    pool.submit(collector.post, body, Content_Type=kind)
                    for kind, body in list(WORST.values()) * AT_ONCE
                ]
                taken = Counter(each.result().status for each in bodies)
                answered = len(statuses) - before
                if answered >= SMALL_MIN:
                    break
        finally:
            is_over.set()
            sending.result()

    assert taken == {202: AT_ONCE * len(WORST)}
    assert set(statuses) == {202}
    assert answered >= SMALL_MIN
