"""Requests as bytes, read by the HTTP server without a network, and by h11 beside it."""

import itertools
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import h11
from gevent.lock import BoundedSemaphore

from api.server.address import Addresses
from api.server.bodies import Bodies
from api.server.connection import Connection
from api.server.head import DECLINED, Answer, Environ, HeadCache, Shortcut
from api.server.request_id import new_ids

DATE = b"Fri, 27 Nov 2026 00:00:00 GMT"


@dataclass(frozen=True)
class Seen:
    """A request as somebody reads it."""

    method: str
    target: str
    body: bytes
    content_type: str


class PiecewiseSocket:
    """A socket that gets what it gets in pieces, and keeps what is sent."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter([piece for piece in pieces if piece])
        self.sent = b""

    def recv(self, size: int) -> bytes:
        """Return the next piece."""
        return next(self._pieces, b"")

    def send(self, data: bytes) -> int:
        """Keep what is sent."""
        self.sent += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Keep what is sent."""
        self.sent += data

    def setsockopt(self, *_: object) -> None:
        """Do nothing."""

    def shutdown(self, _: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Loop:
    """An event loop that looks at its sockets all the time."""

    def __init__(self) -> None:
        self._iterations = itertools.count()

    @property
    def iteration(self) -> int:
        """How often it has looked."""
        return next(self._iterations)


class FakeServer:
    """What a connection asks of its server."""

    closed = False
    date = DATE

    def __init__(self, seen: list[Seen]) -> None:
        self.seen = seen
        self.heads = HeadCache(self.shortcut_of)
        self.shortcuts: list[bytes] = []
        self.declined: list[object] = []
        self.idle: dict[object, None] = {}
        self.deadlines: dict[object, float] = {}
        self.bodies = Bodies()
        self.addresses = Addresses()
        self.loop = Loop()
        self.greedy = BoundedSemaphore(1)
        self.new_id = new_ids()

    def get_environ(self) -> dict[str, object]:
        """Return what all environs have."""
        return {}

    def shortcut_of(self, environ: Environ) -> Shortcut | None:
        """Answer what a path says can be answered by its body alone."""
        return self._shortcut if environ["PATH_INFO"] == "/short" else None

    def _shortcut(self, body: bytes) -> Answer | None:
        self.shortcuts.append(body)
        return None if body == b"long" else ("202 Accepted", [], b"")

    def application(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> list[bytes]:
        """Note a request whose body comes to its end."""
        try:
            body = environ["wsgi.input"].read()
        except OSError:
            start_response("400 Bad Request", [])
            return []
        query = environ["QUERY_STRING"]
        target = environ["PATH_INFO"] + (f"?{query}" if query else "")
        content_type = environ.get("CONTENT_TYPE", "")
        self.declined.append(environ.get(DECLINED, False))
        self.seen.append(Seen(environ["REQUEST_METHOD"], target, body, content_type))
        start_response("200 OK", [])
        return []


def ours(pieces: Sequence[bytes], server: FakeServer | None = None) -> list[Seen]:
    """Return the requests that our server reads."""
    seen: list[Seen] = []
    server = server or FakeServer(seen)
    server.seen = seen
    Connection(cast("socket.socket", PiecewiseSocket(pieces)), ("127.0.0.1", 1), server).handle()
    return seen


def reference(data: bytes) -> list[Seen]:
    """Return the requests that h11 reads, without the empty lines in front of each."""
    seen: list[Seen] = []
    while data := data.lstrip(b"\r\n"):
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)
        connection.receive_data(data)
        connection.receive_data(b"")
        found = first_of(connection)
        if found is None:
            break
        seen.append(found)
        answer = h11.Response(status_code=200, headers=[(b"content-length", b"0")])
        connection.send(answer)
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            break
        data = connection.trailing_data[0]
    return seen


def _unquoted(target: bytes) -> str:
    """Return a target as WSGI has it."""
    path, _, query = target.partition(b"?")
    text = unquote_to_bytes(path).decode("latin-1")
    return f"{text}?{query.decode('latin-1')}" if query else text


def first_of(connection: h11.Connection) -> Seen | None:
    """Return the first request that a connection of h11 has; None if it has none that is whole."""
    request, body = None, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        match event:
            case h11.Request():
                request = event
            case h11.Data():
                body += bytes(event.data)
            case h11.EndOfMessage() if request is not None:
                method = request.method.decode("latin-1")
                return Seen(
                    "GET" if method == "HEAD" else method,
                    _unquoted(request.target),
                    body,
                    ",".join(
                        value.decode("latin-1").strip(" \t")
                        for name, value in request.headers
                        if name == b"content-type"
                    ),
                )
            case _:
                return None


GET = b"GET /prod.api-1/median/2026-11-23/14?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = (
    b"POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 3\r\n\r\na,1"
)
CHUNKED = (
    b"POST /messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\na,1\r\n4;x=y\r\n\na,2\r\n0\r\nContent-Type: text/html\r\n\r\n"
)
UPGRADE = (
    b"POST /messages HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nContent-Length: 3\r\n\r\na,1"
)
KEPT = b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
STREAMS = {
    "a question": GET,
    "a message": POST,
    "chunks": CHUNKED,
    "pipelined": POST + GET + CHUNKED + POST,
    "empty lines in front": b"\r\n\r\n" + POST + b"\r\n" + GET,
    "upgrade": UPGRADE,
    "HEAD": GET.replace(b"GET", b"HEAD", 1) + POST,
    "the last": POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET,
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n\r\n" + GET,
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "a proxy's line": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + GET,
    "a body that ends early": POST[:-1],
    "a size that is none": CHUNKED.replace(b"3\r\na,1", b"x\r\na,1"),
    "a chunk that is longer": CHUNKED.replace(b"3\r\na,1", b"2\r\na,1"),
    "both lengths": CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1),
}
