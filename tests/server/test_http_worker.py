"""HTTP as it comes over TCP: cut short, drawn out, doubled; Falcon's client never does that."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from api.collector.request_body import BODY_DEADLINE_S
from api.server.connection import HEADERS_S, UNREAD_S
from api.server.worker import Server
from metrics.connection import Connection, command
from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from tests.conftest import assert_within
from tests.support.load import audits_of_all

HEAD = "POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"


@pytest.fixture(scope="module")
def redis_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """Yield a Redis for all tests of this module."""
    redis = EmbeddedRedis(
        find_server(), port=free_port(), folder=tmp_path_factory.mktemp("redis")
    ).start()
    yield redis
    redis.stop()


@pytest.fixture(scope="module")
def collector(
    redis_of_module: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Yield a collector process with a small limit on bodies."""
    log: Path = tmp_path_factory.mktemp("collector") / "log"
    service = Service("collector", redis_of_module.url, log, METRICS_MAX_BODY_BYTES="100000")
    yield service.start()
    service.kill()


@pytest.fixture
def redis(redis_of_module: EmbeddedRedis) -> Iterator[Connection]:
    """Yield a connection to an empty Redis."""
    connection = Connection.open(redis_of_module.url, timeout_s=5, connections_max=1)
    connection.ask(command("FLUSHALL"))
    yield connection
    connection.close()


def converse(service: Service, *parts: str | bytes, end: bool = False) -> bytes:
    """Send bytes and return all that comes back until the service has nothing more to say."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part.encode() if isinstance(part, str) else part)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    """Return one answer, or what came of it until the connection was closed."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in answer or len(answer) < length_of(answer):
            more = connection.recv(65536)
            if not more:
                break
            answer += more
    return answer


def length_of(answer: bytes) -> int:
    """Return how long an answer is whose head has come."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(head) + 4 + int(value)
    return len(head) + 4


def status_of(answer: bytes) -> int:
    """Return the status of an answer, 0 if there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def test_a_body_that_is_cut_short_is_not_taken_for_the_whole(
    collector: Service, redis: Connection
) -> None:
    """A body that is cut short gets a 400, and nothing of it is stored."""
    answer = converse(collector, HEAD, "Content-Length: 100\r\n\r\n", "a,1\nb,2\n", end=True)

    assert status_of(answer) == 400
    assert redis.ask(command("DBSIZE")) == 0


def test_a_chunked_body_is_read(collector: Service, redis: Connection) -> None:
    """A chunked body is read as a whole."""
    answer = converse(
        collector, HEAD, "Transfer-Encoding: chunked\r\n\r\n", "4\r\na,1\n\r\n3\r\nb,2\r\n0\r\n\r\n"
    )

    assert status_of(answer) == 202
    assert audits_of_all(redis)["accepted"] == 2


@pytest.mark.parametrize(
    "chunks", ["4\r\na,1\n\r\n3\r\nb,", "4\r\na,1\n\r\n", "zz\r\na,1\n\r\n0\r\n\r\n"]
)
def test_a_chunked_body_that_is_cut_short_is_not_taken(
    collector: Service, redis: Connection, chunks: str
) -> None:
    """A chunked body that is cut short or malformed is not accepted, and nothing is stored."""
    answer = converse(collector, HEAD, "Transfer-Encoding: chunked\r\n\r\n", chunks, end=True)

    assert status_of(answer) in (0, 400)
    assert redis.ask(command("DBSIZE")) == 0


def test_a_chunked_body_over_the_limit_is_refused(collector: Service, redis: Connection) -> None:
    """A chunked body over the limit gets a 413, and nothing is stored."""
    chunk = "186a1\r\n" + "a,1\n" * 25_000 + "\n\r\n"
    answer = converse(collector, HEAD, "Transfer-Encoding: chunked\r\n\r\n", chunk, "0\r\n\r\n")

    assert status_of(answer) == 413
    assert redis.ask(command("DBSIZE")) == 0


def test_a_body_over_the_limit_is_refused_and_its_sender_reads_why(collector: Service) -> None:
    """The sender of a body over the limit reads a 413, whether it asks first or sends it all."""
    answer = converse(collector, HEAD, "Content-Length: 3000000\r\n\r\n", "a" * 3_000_000)
    assert status_of(answer) == 413
    assert b"application/problem+json" in answer

    answer = converse(collector, HEAD, "Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n")
    assert status_of(answer) == 413


def test_who_asks_whether_to_go_on_is_told_to(collector: Service) -> None:
    """A request with `Expect: 100-continue` gets a 100, and then its answer."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall(f"{HEAD}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n".encode())
        assert status_of(read_answer(connection)) == 100
        connection.sendall(b"a,1")
        assert status_of(read_answer(connection)) == 202


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 3_0\r\n",
        "Content-Length: three\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(
    collector: Service, redis: Connection, headers: str
) -> None:
    """A request whose length is ambiguous or malformed gets a 400, and nothing is stored."""
    answer = converse(collector, HEAD, headers, "\r\n", "a,1")

    assert status_of(answer) == 400
    assert b"application/problem+json" in answer
    assert redis.ask(command("DBSIZE")) == 0


def test_what_is_no_http_is_a_bad_request(collector: Service) -> None:
    """What is no HTTP/1 request gives a 400 or a 505."""
    for text, status in (
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 505),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n", 400),  # how TLS begins
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST /messages HTTP/1.1\r\n:\r\n\r\n", 400),
    ):
        assert status_of(converse(collector, text)) == status


def test_a_connection_is_kept_for_many_requests(collector: Service) -> None:
    """A connection is kept for many requests, also after a 400."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        for body, status in (("a,1", 202), ("a,-1", 400), ("a,2", 202), ("", 400), ("a,3", 202)):
            connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert status_of(read_answer(connection)) == status


def test_requests_that_come_at_once_are_answered_one_after_the_other(collector: Service) -> None:
    """Requests that come at once on a connection are answered in their order."""
    requests = [f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}" for body in ("a,1", "a,-1")]
    last = f"{HEAD}Connection: close\r\nContent-Length: 3\r\n\r\na,2"
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall("".join([*requests, last]).encode())
        answers = b""
        while more := connection.recv(65536):
            answers += more

    statuses = [status_of(b"HTTP/1.1 " + part) for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [202, 400, 202]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("POST /messages HTTP/1.0\r\nContent-Type: text/plain\r\n", "a,1"),
        (f"{HEAD}Connection: close\r\n", "a,1"),
        ("POST http://x/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", "a,1"),
    ],
    ids=["HTTP/1.0", "close", "absolute form"],
)
def test_a_connection_ends_when_its_client_says_so(
    collector: Service, head: str, body: str
) -> None:
    """A connection ends after its answer if its client asks for that, as the answer says."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = read_answer(connection)

        assert status_of(answer) == 202
        assert b"\r\nConnection: close\r\n" in answer
        assert connection.recv(100) == b""


def test_an_answer_has_a_date_and_to_head_no_body(collector: Service) -> None:
    """An answer has a Date, and to HEAD no body (RFC 9110, sections 6.6.1 and 9.3.2)."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = connection.recv(65536)

        assert b"\r\nDate: " in answer
        assert answer.endswith(b"\r\n\r\n")


def test_an_older_client_keeps_its_connection_if_it_asks_to(collector: Service) -> None:
    """An HTTP/1.0 client keeps its connection if it asks to, and the answer says so."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            answer = read_answer(connection)
            assert status_of(answer) == 200
            assert b"\r\nConnection: keep-alive\r\n" in answer


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("", 400),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: a b/@\r\n", 400),
        ("Host: localhost:8000\r\n", 200),
        ("Host: [::1]:8000\r\n", 200),
    ],
)
def test_a_request_names_one_host(collector: Service, lines: str, status: int) -> None:
    """A request must name exactly one valid host (RFC 9112, section 3.2)."""
    answer = converse(collector, f"GET /healthz HTTP/1.1\r\n{lines}\r\n")

    assert status_of(answer) == status


def test_after_a_final_answer_nobody_is_told_to_go_on(collector: Service) -> None:
    """After a 413 the connection ends, and what comes on it is not read as a request."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall(
            f"{HEAD}Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n".encode()
        )
        assert status_of(read_answer(connection)) == 413
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000) == b""


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Idempotency-Key"])
def test_a_trailer_is_no_header(collector: Service, redis: Connection, name: str) -> None:
    """A trailer is not taken for a header (RFC 9110, section 6.5.1)."""
    chunks = f"4\r\na,1\n\r\n0\r\n{name}: application/json\r\n\r\n"
    answer = converse(collector, HEAD, "Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert status_of(answer) == 202


@pytest.mark.parametrize(
    "endless",
    ["GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "1;x=y\r\na\r\n", "1;" + "x" * 60_000],
    ids=["requests", "chunks", "an extension"],
)
def test_a_connection_that_sends_without_end_holds_nobody_up(
    collector: Service, endless: str
) -> None:
    """Other requests are answered while one connection sends without end."""
    stop = threading.Event()

    def flood() -> None:
        with (
            socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection,
            contextlib.suppress(OSError),
        ):
            if not endless.startswith("GET"):
                connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
            connection.setblocking(False)
            data = endless.encode() * max(1, 60_000 // len(endless))
            while not stop.is_set():
                _, writable, _ = select.select([connection], [connection], [], 1)
                if writable:
                    connection.send(data)
                with contextlib.suppress(BlockingIOError):
                    connection.recv(65536)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for _ in range(10):
            answer = converse(collector, HEAD, "Content-Length: 3\r\n\r\n", "a,1")
            assert status_of(answer) == 202
    finally:
        stop.set()
        flooding.join()


def test_headers_over_the_limit_are_refused(collector: Service) -> None:
    """Headers over the limit get a 431 with a problem."""
    answer = converse(collector, HEAD, "X: y\r\n" * 20_000)

    assert status_of(answer) == 431
    assert b"application/problem+json" in answer


def test_a_header_that_looks_like_another_is_not_taken_for_it(collector: Service) -> None:
    """A header with an underscore is not taken for the one with a hyphen."""
    answer = converse(collector, HEAD, "Content_Encoding: br\r\nContent-Length: 3\r\n\r\na,1")
    assert status_of(answer) == 202


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_who_wants_another_protocol_is_answered_in_this_one(
    collector: Service, upgrade: str
) -> None:
    """A request that asks for another protocol is answered in HTTP/1.1 (RFC 9110, section 7.8)."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(
                f"{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n"
                "HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\na,1".encode()
            )
            assert status_of(read_answer(connection)) == 202


def test_slow_clients_hold_nobody_up_and_are_sent_away(collector: Service) -> None:
    """Clients that send slowly or nothing hold nobody up, and are cut off in time."""
    begun = monotonic()
    slow = {
        "headers": HEAD,
        "body": f"{HEAD}Content-Length: 100\r\n\r\na,1\n",
        "refused body": f"{HEAD}Content-Length: 3000000\r\n\r\na,1\n",
        "nothing": "",
    }
    connections = {name: [] for name in slow}
    for name, text in slow.items():
        for _ in range(50):
            connection = socket.create_connection(("127.0.0.1", collector.port), timeout=60)
            connection.sendall(text.encode())
            connections[name].append(connection)

    def seconds_until_answered() -> float:
        probe = monotonic()
        assert status_of(converse(collector, HEAD, "Content-Length: 3\r\n\r\n", "a,1")) == 202
        return monotonic() - probe

    assert_within(1, seconds_until_answered)

    for name, status, longest_s in (
        ("refused body", 413, UNREAD_S),
        ("headers", 400, HEADERS_S),
        ("body", 408, BODY_DEADLINE_S + UNREAD_S),
    ):
        for connection in connections[name]:
            assert status_of(read_answer(connection)) == status
            assert connection.recv(100) == b""
        assert monotonic() - begun < 2 * longest_s + 10
    for connection in [each for group in connections.values() for each in group]:
        connection.close()


def test_a_request_that_comes_while_the_server_stops_is_not_cut_short() -> None:
    """A request that comes on an idle connection while the server stops is answered."""
    server = Server(("127.0.0.1", 0), lambda environ, start_response: [])
    requested = Event()
    answered = []

    def connection() -> None:
        server.idle[gevent.getcurrent()] = ""
        requested.wait()
        server.idle.pop(gevent.getcurrent())
        gevent.sleep(0)
        answered.append(True)

    idle, busy = gevent.spawn(Event().wait), gevent.spawn(connection)
    server.idle[idle] = ""
    gevent.sleep(0)
    requested.set()
    server.close()
    gevent.joinall([idle, busy], timeout=60)

    assert answered
    assert idle.dead
