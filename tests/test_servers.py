"""What serves the collector: several processes at one socket, or another WSGI server."""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metrics.connection import Connection, command
from ops.procfile import Service
from ops.redis.embedded_redis import EmbeddedRedis
from tests.conftest import wait_until
from tests.load import books_of_all

CONNECTIONS = 64

THREADED = f"""exec {sys.executable} -c '
import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
from api.collector import get_app

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 100

make_server("127.0.0.1", int(os.environ["PORT"]), get_app(), Server).serve_forever()
'"""
"""The collector under a server of the standard library: a thread a request, and no gevent."""


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sockets_of(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(link).startswith("socket:")
    return found


@pytest.fixture
def start(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[list[Service]]:
    """Stop at the end what is put in here."""
    started: list[Service] = []
    yield started
    for service in started:
        service.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processes_at_one_socket_share_the_connections(
    redis_server: EmbeddedRedis, tmp_path: Path, start: list[Service]
) -> None:
    """Also those that come all at once, and whichever of them was awake."""
    collector = Service("collector", redis_server.url, tmp_path / "log", WEB_CONCURRENCY="2")
    start.append(collector)
    collector.start()
    assert collector.process is not None
    workers = children_of(collector.process.pid)
    idle = [sockets_of(worker) for worker in workers]

    def taken() -> list[int]:
        return [sockets_of(worker) - before for worker, before in zip(workers, idle, strict=True)]

    def least_share() -> int:
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                stack.enter_context(socket.create_connection(("127.0.0.1", collector.port)))
            wait_until(lambda: sum(taken()) == CONNECTIONS)
            share = min(taken())
        wait_until(lambda: sum(taken()) == 0)
        return share

    assert len(workers) == 2
    # On a busy machine a process may now and then not run at all for a while.
    wait_until(lambda: least_share() >= CONNECTIONS * 3 // 8)


def test_the_collector_runs_under_any_wsgi_server(
    redis_server: EmbeddedRedis, tmp_path: Path, start: list[Service], connection: Connection
) -> None:
    """Each message counts once, many threads at a time, though nobody has patched anything."""
    collector = Service("collector", redis_server.url, tmp_path / "log", command=THREADED)
    start.append(collector)
    collector.start()

    def post(number: int) -> int:
        return collector.post(json.dumps({"key": f"app-{number % 7}", "value": number})).status

    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(post, range(200)))

    assert statuses == {202}
    assert books_of_all(connection)["accepted"] == 200


def test_a_repetition_counts_once_under_any_wsgi_server(
    redis_server: EmbeddedRedis, tmp_path: Path, start: list[Service], connection: Connection
) -> None:
    """Another body under the same key is refused; and all is 503 while Redis is away."""
    collector = Service("collector", redis_server.url, tmp_path / "log", command=THREADED)
    start.append(collector)
    collector.start()

    def post(value: int) -> int:
        body = json.dumps({"key": "app", "value": value})
        return collector.post(body, **{"Idempotency-Key": "one"}).status

    assert [post(1), post(1), post(2)] == [202, 202, 422]
    assert books_of_all(connection)["accepted"] == 1

    connection.ask(command("CLIENT", "PAUSE", 2500, key=None))

    assert post(1) == 503
