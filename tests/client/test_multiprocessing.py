"""The client delivers in children of ``multiprocessing``, which end in a way of their own."""

import pytest

from tests.support.fake_collector import fake_collector
from tests.support.scenarios import run

TASKS = 6


@pytest.mark.parametrize("way", ["process", "pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_deliver_when_they_end(method: str, way: str) -> None:
    """Values of children of multiprocessing are delivered once, when the children end."""
    with fake_collector() as collector:
        run("multiprocesses.py", method, way, str(TASKS), collector.url)

    assert sorted(collector.values("children")) == list(range(TASKS))
    assert collector.values("parent") == [1]
