"""A client of a chaos run reads every answer that it gets, and a missing one, correctly."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.lab.chaos.requests import CollectorConnection, Request
from ops.lab.ledger import Message
from ops.local.ports import free_port

REQUEST = Request.of([Message("a", 0), Message("b", 3)], "batch/1")


class Collector(HTTPServer):
    """Answers every request in the same way.

    Attributes:
        status: Of the answer.
        members: Of the answer's JSON.
        length: How long it says that it is; longer than it is, it is cut short.
        bodies: Of the requests that came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 202
        self.members: dict[str, object] = {"accepted": 2, "rejected": 0}
        self.length = 0
        self.bodies: list[tuple[str | None, object]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Collector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Write the request down, and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.headers["Idempotency-Key"], json.loads(body)))
        content = json.dumps(self.server.members).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.length or len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = bool(self.server.length)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Yield a collector that gives a set answer."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def answered(port: int) -> tuple[str, bool]:
    """Return what is known after a request, and whether its answer was wrong."""
    connection = CollectorConnection(port)
    connection.send(REQUEST)
    answer = connection.answer(REQUEST)
    connection.hang_up()
    return answer.outcome, answer.is_wrong


def test_a_batch_is_sent_as_pairs_under_its_key(collector: Collector) -> None:
    """A batch is sent as pairs under its key, and each value stands for a message's number."""
    assert answered(collector.server_port) == ("ok", False)
    assert collector.bodies == [("batch/1", [["a", 1.0], ["b", 64.0]])]


@pytest.mark.parametrize(
    ("status", "members", "outcome", "is_wrong"),
    [
        (202, {"accepted": 1, "rejected": 1}, "ok", True),
        (503, {"stored": "no"}, "fail", False),
        (503, {"stored": "unknown"}, "info", False),
        (400, {"detail": "short"}, "fail", True),
        (500, {"stored": "unknown"}, "info", True),
    ],
    ids=["not all", "not stored", "perhaps stored", "refused", "failed"],
)
def test_only_a_whole_202_or_a_503_is_what_a_client_may_get(
    collector: Collector, status: int, members: dict[str, object], outcome: str, is_wrong: bool
) -> None:
    """Any answer but a whole 202 or a 503 is wrong."""
    collector.status, collector.members = status, members

    assert answered(collector.server_port) == (outcome, is_wrong)


def test_an_answer_that_is_cut_short_says_nothing(collector: Collector) -> None:
    """A 202 that is cut short leaves open whether the batch is stored."""
    collector.length = 1000

    assert answered(collector.server_port) == ("info", False)


def test_where_nobody_listens_nothing_is_stored() -> None:
    """A refused connection means that nothing is stored."""
    assert answered(free_port()) == ("fail", False)


def test_a_connection_is_used_again_after_a_failure(collector: Collector) -> None:
    """A connection is made again after a failure."""
    connection = CollectorConnection(collector.server_port)
    collector.length = 1000
    connection.send(REQUEST)
    assert connection.answer(REQUEST).outcome == "info"
    collector.length = 0

    connection.send(REQUEST)
    assert connection.answer(REQUEST).outcome == "ok"
    connection.hang_up()
