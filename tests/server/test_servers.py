"""The collector runs in several processes at one socket, or under another WSGI server."""

import contextlib
import json
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import gevent
import pytest

from api.server import connection as http_connection
from api.server import worker
from api.server.turns import TURNS_MAX
from metrics.connection import Connection, command
from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import PATIENCE_S
from tests.support.load import audits_of_all

THREADED = f"""exec {sys.executable} -c '
import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
from api.collector.app import get_app

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 100

make_server("127.0.0.1", int(os.environ["PORT"]), get_app(), Server).serve_forever()
'"""
"""The collector under a server of the standard library: a thread a request, and no gevent."""


@pytest.fixture
def collector(
    redis_server: EmbeddedRedis, connection: Connection, tmp_path: Path
) -> Iterator[Service]:
    """Yield the collector under a threaded standard-library server, with an empty Redis."""
    del connection
    service = Service("collector", redis_server.url, tmp_path / "log", command=THREADED)
    yield service.start()
    service.kill()


def await_taken(server: worker.Server, connections: int) -> None:
    """Wait until a server in this process has taken so many connections."""
    give_up = monotonic() + PATIENCE_S
    while len(server.deadlines) < connections:
        assert monotonic() < give_up
        gevent.sleep(0.001)


@pytest.mark.parametrize(("processes", "pause_s"), [(2, 0.2), (1, 3600.0)])
def test_processes_at_one_socket_leave_each_other_the_next_connection(
    processes: int, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that shares its socket pauses after each connection; one alone does not."""
    monkeypatch.setattr(worker, "ACCEPT_PAUSE_S", pause_s)
    environ = {"wsgi.multiprocess": processes > 1}  # as gunicorn says it
    server = worker.Server(
        ("127.0.0.1", 0), lambda *_: [], environ=environ, handler_class=worker.Connection
    )
    server.start()
    begun = monotonic()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(server.address))
        await_taken(server, 3)
        took_s = monotonic() - begun
    server.stop(timeout=0)

    # Between each and the next there was a pause; or none at all, else it would not be over yet.
    assert took_s >= 2 * pause_s or processes == 1


def test_the_collector_runs_under_any_wsgi_server(
    collector: Service, connection: Connection
) -> None:
    """Under another WSGI server, and many threads, each message counts once."""

    def post(number: int) -> int:
        return collector.post(json.dumps({"key": f"app-{number % 7}", "value": number})).status

    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(post, range(200)))

    assert statuses == {202}
    assert audits_of_all(connection)["accepted"] == 200


def test_a_repetition_counts_once_under_any_wsgi_server(
    collector: Service, connection: Connection
) -> None:
    """Under another WSGI server a batch counts once, and a Redis that hangs gets a 503."""

    def post(value: int) -> int:
        body = json.dumps({"key": "app", "value": value})
        return collector.post(body, **{"Idempotency-Key": "one"}).status

    assert [post(1), post(1), post(2)] == [202, 202, 422]
    assert audits_of_all(connection)["accepted"] == 1

    connection.ask(command("CLIENT", "PAUSE", 2500, key=None))

    assert post(1) == 503


def test_who_does_not_read_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose client does not read its answer is closed."""
    monkeypatch.setattr(http_connection, "SEND_S", 0.1)

    def app(environ: dict, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * 50_000_000]

    server = worker.Server(("127.0.0.1", 0), app, handler_class=worker.Connection)
    server.start()
    try:
        with socket.create_connection(server.address) as greedy:
            greedy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            give_up = monotonic() + 20
            while not server.deadlines and monotonic() < give_up:
                gevent.sleep(0.01)
            while server.deadlines and monotonic() < give_up:
                gevent.sleep(0.01)
            assert not server.deadlines
    finally:
        server.stop(timeout=0)


def test_a_connection_has_few_turns_before_the_loop_looks_at_its_sockets() -> None:
    """A connection has at most TURNS_MAX turns in one iteration of the event loop."""
    turns: Counter[int] = Counter()

    def app(environ: dict, start_response: Callable[..., object]) -> list[bytes]:
        turns[server.loop.iteration] += 1
        start_response("200 OK", [])
        return []

    server = worker.Server(("127.0.0.1", 0), app, handler_class=worker.Connection)
    server.start()
    try:
        with socket.create_connection(server.address) as greedy:
            greedy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
            give_up = monotonic() + 20
            while turns.total() < 400 and monotonic() < give_up:
                gevent.sleep(0.01)
    finally:
        server.stop(timeout=0)

    assert turns.total() == 400
    assert max(turns.values()) <= TURNS_MAX


@contextlib.contextmanager
def server_with_shortcut(take: Callable[[bytes], object]) -> Iterator[Callable[[], bytes]]:
    """Yield what posts a byte on a connection that was idle, and returns the answer."""

    class App:
        def shortcut(self, environ: dict) -> Callable[[bytes], object] | None:
            return take if environ["REQUEST_METHOD"] == "POST" else None

        def __call__(self, environ: dict, start_response: Callable[..., object]) -> list[bytes]:
            start_response("200 OK", [])
            return []

    def ask(client: socket.socket, method: bytes) -> bytes:
        head = method + b" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n"
        client.sendall(head + b"x")
        return gevent.get_hub().threadpool.apply(client.recv, (1000,))

    def post() -> bytes:
        with socket.create_connection(server.address) as client:
            assert ask(client, b"PUT").startswith(b"HTTP/1.1 200")
            return ask(client, b"POST")

    server = worker.Server(("127.0.0.1", 0), App(), handler_class=worker.Connection)
    server.start()
    try:
        # The shortcut of a head is asked for once it has come before.
        assert post().startswith(b"HTTP/1.1 200")
        yield post
    finally:
        server.stop(timeout=0)


def test_a_shortcut_that_fails_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    """A shortcut that raises is a 500 for its own request, and one line of the log a minute."""

    def fail(body: bytes) -> None:
        raise RecursionError

    with server_with_shortcut(fail) as post:
        for _ in range(3):
            assert post().startswith(b"HTTP/1.1 500")

    assert caplog.text.count("the app failed") == 1


def test_a_shortcut_may_take_longer_than_a_connection_may_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deadline of an idle connection ends when its next request is there."""
    monkeypatch.setattr(http_connection, "IDLE_S", 0.2)

    def take(body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        gevent.sleep(0.4)
        return "202 Accepted", [("content-length", "0")], b""

    with server_with_shortcut(take) as post:
        assert post().startswith(b"HTTP/1.1 202")
