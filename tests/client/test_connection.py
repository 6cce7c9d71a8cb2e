"""The client keeps its connection to a collector, replaces a stale one, and never waits long."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from metrics.client.collectors import Address
from metrics.client.connection import Answer, CollectorConnection, _retry_after_s
from metrics.errors import CollectorAwayError
from ops.local.ports import free_port

Peer = Callable[[socket.socket], None]
"""What a server does with one connection."""

TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{"accepted":1}'
ANSWER_S = 0.5
TOO_LONG_S = 12.0
"""How long an answer goes on for that nobody waits for."""


def read_request(peer: socket.socket) -> bytes:
    """Return one request; empty if the client has closed the connection."""
    request = b""
    while b"\r\n\r\n" not in request or not request.endswith(b"body"):
        more = peer.recv(65536)
        if not more:
            return b""
        request += more
    return request


def taking(peer: socket.socket) -> None:
    """Answer every request with 202."""
    while read_request(peer):
        peer.sendall(TAKEN)


def saying(*parts: bytes, pause_s: float = 0.0) -> Peer:
    """Answer one request with some bytes, and close; earlier if the client does."""

    def say(peer: socket.socket) -> None:
        read_request(peer)
        for part in parts:
            peer.sendall(part)
            if pause_s and select.select([peer], [], [], pause_s)[0]:
                return

    return say


@contextmanager
def server(*peers: Peer, answer_s: float = 60.0) -> Iterator[tuple[CollectorConnection, list[int]]]:
    """Serve connections one after the other, each in its way; count them."""
    connections: list[int] = []

    def serve() -> None:
        for peer in peers:
            try:
                connection, (_, port) = listener.accept()
            except OSError:
                return
            connections.append(port)
            with connection:
                try:
                    peer(connection)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = Address.parse(f"http://127.0.0.1:{listener.getsockname()[1]}")
        connection = CollectorConnection(address, connect_s=60.0, answer_s=answer_s)
        try:
            yield connection, connections
        finally:
            connection.close()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def post(connection: CollectorConnection) -> Answer:
    """Send a short body."""
    return connection.post(b"body", {"Idempotency-Key": "k"})


def test_a_connection_is_kept() -> None:
    """Several batches are sent over one connection."""
    with server(taking) as (connection, connections):
        for _ in range(5):
            assert post(connection) == Answer(202, b'{"accepted":1}')

        assert len(connections) == 1


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """A connection that the server has closed is replaced, without a failure."""
    with server(saying(TAKEN), taking) as (connection, connections):
        assert post(connection).status == 202
        assert post(connection).status == 202
        assert len(connections) == 2


def test_a_connection_is_not_kept_when_the_collector_closes_it() -> None:
    """A connection is not kept after an answer with `Connection: close`."""
    closing = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with server(saying(closing), taking) as (connection, _):
        assert post(connection).status == 202
        assert connection._kept is None
        assert post(connection).status == 202


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """An HTTP/1.0 answer without a length is read to the end of its connection."""
    with server(saying(b"HTTP/1.0 503 no\r\nRetry-After: 7\r\n\r\n{}")) as (connection, _):
        assert post(connection) == Answer(503, b"{}", 7.0)


def test_an_answer_in_chunks_is_read() -> None:
    """An answer in chunks is read as a whole."""
    chunked = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    with server(saying(chunked)) as (connection, _):
        assert post(connection) == Answer(202, b"{}")


def test_where_nobody_listens_nothing_was_sent() -> None:
    """A refused connection is an error that says that the batch was not sent."""
    connection = CollectorConnection(
        Address.parse(f"http://127.0.0.1:{free_port()}"), connect_s=60.0, answer_s=60.0
    )

    with pytest.raises(CollectorAwayError, match="refused") as caught:
        post(connection)

    assert caught.value.is_unsent


def test_a_name_that_nobody_knows_is_a_collector_that_is_away() -> None:
    """A host that cannot be resolved is a collector that is away, and the batch is unsent."""
    connection = CollectorConnection(
        Address.parse("http://collector.invalid:8000"), connect_s=60.0, answer_s=60.0
    )

    with pytest.raises(CollectorAwayError) as caught:
        post(connection)

    assert caught.value.is_unsent


@pytest.mark.parametrize(
    "peer",
    [
        saying(),
        saying(b"HTTP/1.1 20"),
        saying(b"SSH-2.0-OpenSSH_9.2\r\n"),
        saying(b"\x00" * 100),
        saying(b"HTTP/1.1 202 Accepted\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        saying(b"HTTP/1.1 202 " + b"x" * 100_000),
    ],
    ids=["nothing", "cut", "no http", "zeros", "many headers", "long line"],
)
def test_what_is_no_answer_leaves_open_whether_it_is_stored(peer: Peer) -> None:
    """After a reply that is no HTTP answer the batch may be stored; the connection is dropped."""
    with server(peer) as (connection, _), pytest.raises(CollectorAwayError) as caught:
        post(connection)

    assert not caught.value.is_unsent
    assert str(caught.value)
    assert connection._kept is None


@pytest.mark.parametrize("answer", [TAKEN[:12], TAKEN[:30], TAKEN[:-5]])
def test_an_answer_that_is_cut_short_behind_its_status_is_one(answer: bytes) -> None:
    """An answer cut short after its status is taken, and its connection is not used again."""
    with server(saying(answer), taking) as (connection, _):
        assert post(connection).status == 202
        assert post(connection) == Answer(202, b'{"accepted":1}')


@pytest.mark.parametrize(
    "parts",
    [
        [b""] * 60,
        [b"HTTP/1.1 202 A", *[b"c"] * 60],
        [TAKEN.replace(b"14", b"99"), *[b"x"] * 60],
    ],
    ids=["silence", "a byte now and then", "a body that does not end"],
)
def test_an_answer_that_takes_too_long_is_given_up_as_a_whole(parts: list[bytes]) -> None:
    """The time for an answer is limited as a whole, however little each byte takes."""
    with server(saying(*parts, pause_s=TOO_LONG_S / 60), answer_s=ANSWER_S) as (connection, _):
        began = time.monotonic()
        with pytest.raises(CollectorAwayError, match=r"timed out|in time") as caught:
            post(connection)

        assert time.monotonic() - began < TOO_LONG_S / 2
        assert not caught.value.is_unsent


def test_a_peer_that_reads_nothing_is_given_up_too() -> None:
    """A peer that does not read a long body is given up in time."""
    done = threading.Event()
    with server(lambda _: (done.wait(TOO_LONG_S), None)[1], answer_s=ANSWER_S) as (connection, _):
        began = time.monotonic()
        with pytest.raises(CollectorAwayError):
            connection.post(b"x" * 30_000_000, {})

        assert time.monotonic() - began < TOO_LONG_S / 2
        done.set()


def test_a_request_on_a_stale_connection_may_be_stored_though_the_new_one_is_refused() -> None:
    """A batch sent on a stale connection may be stored, though the new connection is refused."""
    with server(saying(TAKEN)) as (connection, connections):
        post(connection)
        assert connections
        connection._address = Address.parse("http://127.0.0.1:1")

        with pytest.raises(CollectorAwayError, match="refused") as caught:
            post(connection)

    assert not caught.value.is_unsent


def test_retry_after_is_seconds_or_a_date() -> None:
    """Retry-After is read as seconds or a date (RFC 9110, section 10.2.3), else ignored."""
    assert _retry_after_s("7") == 7.0
    assert _retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT") == 0.0
    assert _retry_after_s("soon") is None
    assert _retry_after_s(None) is None
