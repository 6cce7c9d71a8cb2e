"""The client works under gunicorn, whether the master or the workers read the app."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.lab.service import Service
from ops.local.ports import is_free
from ops.local.waiting import wait_until
from tests.support.fake_collector import FakeCollector, fake_collector

WORKERS = 2


@pytest.fixture(
    params=[(True, False), (False, True), (True, True)],
    ids=["used-at-import", "preload", "used-at-import-preload"],
)
def reading(request: pytest.FixtureRequest) -> tuple[bool, bool]:
    """Return whether a value is recorded while the app is read, and whether the master reads it.

    If the workers read it and record nothing, they do less than in the first case.
    """
    return request.param


@pytest.fixture
def at_import(reading: tuple[bool, bool]) -> bool:
    """Return whether a value is recorded while the app is read."""
    return reading[0]


@pytest.fixture
def preload(reading: tuple[bool, bool]) -> bool:
    """Return whether the master reads the app."""
    return reading[1]


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    """Yield the collector to which the app delivers."""
    with fake_collector() as collector:
        yield collector


@pytest.fixture(params=["sync", "gthread", "gevent"])
def app(
    request: pytest.FixtureRequest,
    collector: FakeCollector,
    at_import: bool,
    preload: bool,
    tmp_path: Path,
) -> Iterator[Service]:
    """Yield the app under gunicorn, listening."""
    service = Service(
        "gunicorn",
        "",
        tmp_path / "gunicorn.log",
        command="exec gunicorn --bind 127.0.0.1:$PORT --no-control-socket --keep-alive 0"
        f" --workers {WORKERS} --worker-class {request.param} {'--preload' * preload}"
        " tests.client.apps.served:app",
        METRICS_COLLECTORS=collector.url,
        AT_IMPORT="1" * at_import,
    ).launch()
    try:
        wait_until(lambda: service.has_ended or not is_free(service.port))
        yield service
    finally:
        service.kill()


def test_every_request_counts_once(
    app: Service, collector: FakeCollector, at_import: bool, preload: bool
) -> None:
    """Every request of every worker counts once, also those before SIGTERM."""
    answered = ask_each_worker(app)
    wait_until(lambda: len(collector.values("requests")) == answered)

    for number in range(answered, answered + 10):
        app.get(f"/{number}")
    app.send(signal.SIGTERM)
    assert app.wait() == 0

    assert sorted(collector.values("requests")) == list(range(answered + 10))
    readers = 1 if preload else WORKERS
    assert collector.values("imports") == [1] * (readers * at_import)
    assert "Warning" not in (log := app.log.read_text("utf-8")), log
    assert "Traceback" not in log, log


def ask_each_worker(app: Service) -> int:
    """Ask until each worker has answered; return how many answers there were.

    Who answers is the kernel's choice, and it may choose the same one for ever: so whoever has
    answered stands still until the others have.
    """
    asleep: list[int] = []
    try:
        while len(asleep) < WORKERS:
            pid = int(app.get(f"/{len(asleep)}").body)
            asleep.append(pid)
            if len(asleep) < WORKERS:
                os.kill(pid, signal.SIGSTOP)
    finally:
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    assert len(set(asleep)) == WORKERS
    return len(asleep)
