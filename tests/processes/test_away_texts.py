"""Answers say only that Redis is away; its address and the reason are in the log."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from api.collector import app as collector
from api.query import app as query
from metrics.connection import Connection, command
from metrics.errors import StorageUnavailableError
from metrics.settings import Settings
from tests.collector.test_fast_path import ask
from tests.worker.test_health import ask as ask_worker
from workers.counters import Counters
from workers.health import HealthServer

ROUTES = (
    ("POST", "/messages", b'{"key":"a","value":1}'),
    ("POST", "/messages", b'["a",1]'),
    ("GET", "/readyz", b""),
    ("GET", "/audit", b""),
    ("GET", "/keys", b""),
    ("GET", "/a/median/2026-11-23/14", b""),
    ("GET", "/a*/median/2026-11-23/14", b""),
    ("GET", "/a/median/2026-11-23", b""),
)


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Run a Redis that answers everything with the same, or hangs up; give its port."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while reply and (data := connection.recv(65_536)):
                # As many replies as there are commands, each an array.
                connection.sendall(reply * max(data.count(b"\r\n*") + 1, 1))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("scheme", "reply"),
    [
        ("redis", b""),
        ("rediss", b""),
        ("rediss", b"HTTP/1.1 400 hunter2\r\n\r\n"),
        ("redis", b"-NOPERM User hunter2 has no permissions to run the 'evalsha' command\r\n"),
        ("redis", b"-MISCONF hunter2: Redis is configured to save RDB snapshots\r\n"),
    ],
    ids=["hangs up", "hangs up on TLS", "speaks no TLS", "refuses", "cannot write"],
)
def test_no_answer_tells_where_redis_is_or_what_it_said(
    scheme: str, reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No answer of any process shows Redis' address, password or words; the log stays short."""
    with answering(reply) as port:
        url = f"{scheme}://user:hunter2@127.0.0.1:{port}"
        connection = Connection.open(url, timeout_s=0.3, connections_max=4)
        settings = Settings.from_env({"REDIS_URL": url})
        apps = [module.create_app(connection, settings) for module in (collector, query)]
        bodies = [
            answer.body.decode()
            for app in apps
            for method, path, body in ROUTES * 2
            if (answer := ask(app, body, method, path)).status[:3] not in {"404", "405", "202"}
        ]
        bodies.append(worker_answer(connection))
        connection.close()

    assert len(bodies) > 10
    for body in bodies:
        assert '"status":503' in body.replace(": ", ":"), body
        for secret in ("hunter2", "127.0.0.1", str(port), "Error", "SSL", "evalsha", "RDB"):
            assert secret not in body, body
    told = [record.getMessage() for record in caplog.records if "answering 503" in record.message]
    assert told
    assert len(told) <= 2 * len(apps)


def worker_answer(connection: Connection) -> str:
    """Return the text with which a worker on this connection answers `/readyz`."""
    server = HealthServer(
        "127.0.0.1",
        0,
        check=lambda: connection.ask(command("PING")),
        counters=Counters(),
    )
    server.start()
    try:
        answer = ask_worker(server.server_port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return answer.partition(b"\r\n\r\n")[2].decode()
    finally:
        server.close()


def test_the_log_says_each_kind_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A kind of line is written at most once a minute, and says how many were held back."""
    from metrics.throttled_log import ThrottledLog
    from tests.conftest import Clock

    clock = Clock()
    log = ThrottledLog(logging.getLogger("tests"), monotonic=clock)
    for seconds in (0.0, 1.0, 59.0, 61.0):
        clock.seconds = seconds
        log.log("away", "away at %d", seconds)
        log.log("full", "full at %d", seconds)

    clock.seconds = 130.0
    log.log("away", "away at %d", 130)

    assert [record.getMessage() for record in caplog.records] == [
        *("away at 0", "full at 0"),
        *("away at 61 (and 2 more like it before)", "full at 61 (and 2 more like it before)"),
        "away at 130",
    ]


def test_kinds_that_somebody_makes_up_fill_neither_log_nor_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beyond a thousand kinds a minute all new ones are one kind; known ones stay their own."""
    from metrics.throttled_log import ThrottledLog
    from tests.conftest import Clock

    clock = Clock()
    log = ThrottledLog(logging.getLogger("tests"), monotonic=clock)
    for number in (*range(5000), 3):
        log.log(str(number), "%d", number)
    assert len(caplog.records) == 1001
    clock.seconds = 61.0
    log.log("new", "after a minute")

    assert caplog.records[-1].getMessage() == "after a minute"


def test_an_error_of_several_partitions_tells_no_more_than_one() -> None:
    """An error of several partitions keeps the public text of the error that it is made from."""
    from metrics.errors import PartlyStoredError

    error = StorageUnavailableError("Redis is away: at 10.0.0.1", public="Redis is away")

    assert error.public == "Redis is away"
    assert PartlyStoredError(str(error), frozenset({1}), public=error.public).public == error.public
    assert StorageUnavailableError("the backlog of partition 3 is at its limit").public == (
        "the backlog of partition 3 is at its limit"
    )
