"""Real frameworks under real servers give their own answers, and each request is recorded."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time

import pytest

from metrics.aggregate import Aggregate
from metrics.connection import Connection
from metrics.hours import Hour
from metrics.store import Store
from ops.lab.service import Service
from ops.local.ports import free_port, is_free
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until
from tests.client.apps.answers import CHUNKS, FILE, PAUSE_S

pytestmark = pytest.mark.usefixtures("early_in_the_hour")

APPS = "tests.client.apps"
GUNICORN = "exec gunicorn --bind 127.0.0.1:$PORT --no-control-socket"
SERVERS = {
    "flask-sync": f"{GUNICORN} {APPS}.flask_app:app",
    "django-sync": f"{GUNICORN} {APPS}.django_app:application",
    "falcon-sync": f"{GUNICORN} {APPS}.falcon_app:app",
    "falcon-gthread": f"{GUNICORN} --worker-class gthread --threads 4 {APPS}.falcon_app:app",
    "starlette-uvicorn": f"exec uvicorn --host 127.0.0.1 --port $PORT {APPS}.starlette_app:app",
}
"""How each app is started; its name is the key of its requests."""


@dataclass(frozen=True, slots=True)
class Counting:
    """Collector, worker and Redis, for all apps."""

    collector: Service
    store: Store

    def recorded(self, key: str) -> Aggregate:
        """Return what is counted of a key in this hour."""
        (found,) = self.store.read(key, [Hour.of(time())])
        return found.aggregate


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    """Yield a collector, a worker and their Redis, ready."""
    folder = tmp_path_factory.mktemp("counting")
    redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder).start()
    services = [
        Service(name, redis.url, folder / f"{name}.log") for name in ("collector", "worker")
    ]
    connection = Connection.open(redis.url, timeout_s=5, connections_max=2)
    try:
        for service in services:
            service.launch()
        for service in services:
            service.wait_until_ready(60)
        yield Counting(services[0], Store(connection, partitions=16))
    finally:
        for service in services:
            service.kill()
        connection.close()
        redis.stop()


@pytest.fixture(params=SERVERS)
def app(request: pytest.FixtureRequest, counting: Counting, tmp_path: Path) -> Iterator[Service]:
    """Yield an app under its server, listening."""
    service = Service(
        request.param,
        "",
        tmp_path / f"{request.param}.log",
        command=SERVERS[request.param],
        METRICS_KEY=request.param,
        METRICS_COLLECTORS=f"http://127.0.0.1:{counting.collector.port}",
    ).launch()
    try:
        wait_until(lambda: service.has_ended or not is_free(service.port))
        assert not service.has_ended, service.log.read_text("utf-8")
        yield service
    finally:
        service.kill()


def hang_up(port: int, path: str) -> None:
    """Ask for an answer, and take no more than its beginning."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert connection.recv(1) == b"H"


def test_every_request_of_a_real_app_is_counted_once(app: Service, counting: Counting) -> None:
    """Each of five requests to a real app counts once, also a failure and one that is given up."""
    plain = app.get("/plain")
    assert (plain.status, plain.body, plain.headers["Content-Length"]) == (200, b"hello", "5")
    assert app.get("/stream").body == b"".join(CHUNKS)
    assert app.get("/file").body == FILE.read_bytes()
    assert app.get("/fail").status == 500
    hang_up(app.port, "/stream")

    def recorded() -> Aggregate | None:
        found = counting.recorded(app.name)
        return found if found.count >= 5 else None

    found = wait_until(recorded)
    assert found.count == 5
    assert found.max >= len(CHUNKS) * PAUSE_S * 1000

    app.stop()
    assert counting.recorded(app.name) == found
