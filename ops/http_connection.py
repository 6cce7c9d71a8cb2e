"""One connection of the HTTP server: reads requests, asks the WSGI app, answers.

As small as can be, since all of it is done for each message of an app that sends its messages one
by one: an answer is joined and sent as a whole, a deadline is a number that the server looks at.

Source:
    RFC 9110 and RFC 9112; PEP 3333.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from time import monotonic
from typing import Any

import gevent

from ops.http_request import Environ, NotHTTPError, Request, RequestReader

IDLE_S = 30.0
"""How long a connection may lie idle between requests; clients send every second or so."""

HEADERS_S = 5.0
"""How long the headers of a request may take to come."""

UNREAD_S = 2.0
"""How long a refused body is still taken in: a client that cannot send on reads no answer."""

HEAD_BYTES_MAX = 65_536
"""How long the headers of a request may be."""

RECV_BYTES = 65_536
FOREVER = float("inf")

Headers = list[tuple[str, str]]
WSGIApp = Callable[[Environ, Callable[..., object]], Iterable[bytes]]

_BODILESS = ("1", "204", "304")


class TooSlowError(Exception):
    """Thrown into a connection whose deadline is over."""


class Connection:
    """One connection and its requests. What gevent's server calls a handler class."""

    def __init__(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401
        """Take a connection over.

        Args:
            connection: A socket of gevent.
            address: Of the other side.
            server: With ``application``, ``get_environ``, ``heads``, ``idle``, ``deadlines``,
                ``date``, ``closed`` and ``log``.
        """
        self._socket = connection
        self._server = server
        environ: Environ = {"SCRIPT_NAME": "", "wsgi.url_scheme": "http"}
        environ |= server.get_environ()
        if isinstance(address, tuple):
            environ |= {"REMOTE_ADDR": address[0], "REMOTE_PORT": str(address[1])}
        self._reader = RequestReader(environ, self._read_on, server.heads)
        self._is_in_head = False

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        this = gevent.getcurrent()
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := self._next(this)) is not None:
                is_last = self._answer(request)
                if not (request.is_whole or self._has_drained(request)) or is_last:
                    break
        except (OSError, gevent.GreenletExit):
            pass  # The other side is gone, or this server ends.
        except NotHTTPError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except TooSlowError:
            if self._is_in_head:
                self._refuse(HTTPStatus.BAD_REQUEST, "The headers came too slowly.")
        finally:
            self._server.deadlines.pop(this, None)
            self._server.idle.discard(this)
            self._socket.close()

    def _next(self, this: gevent.Greenlet) -> Request | None:
        """Return the next request once its headers are there; None at the end."""
        if self._reader.ready:
            return self._reader.ready.popleft()
        if self._server.closed:
            return None
        self._server.idle.add(this)
        self._server.deadlines[this] = monotonic() + IDLE_S
        head_bytes = 0
        while not self._reader.ready:
            data = self._socket.recv(RECV_BYTES)
            self._server.idle.discard(this)
            if not data:
                return None
            if not head_bytes:
                self._is_in_head = True
                self._server.deadlines[this] = monotonic() + HEADERS_S
            head_bytes += len(data)
            answer = self._reader.feed(data)
            if answer is not None:
                self._send(*answer, "POST", False)
                head_bytes = 0
                self._server.idle.add(this)
                self._server.deadlines[this] = monotonic() + IDLE_S
                continue
            if head_bytes > HEAD_BYTES_MAX and not self._reader.ready:
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"The headers may have {HEAD_BYTES_MAX} bytes.",
                )
                return None
        self._is_in_head = False
        self._server.deadlines[this] = FOREVER
        return self._reader.ready.popleft()

    def _read_on(self, request: Request) -> None:
        """Read on in the body of a request."""
        if request.environ.pop("HTTP_EXPECT", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data = self._socket.recv(RECV_BYTES)
        if not data:
            request.is_last = True
            raise ConnectionAbortedError("the connection ended in the middle of a body")
        try:
            self._reader.feed(data)
        except NotHTTPError as error:
            request.is_last = True
            raise OSError(str(error)) from error

    def _has_drained(self, request: Request) -> bool:
        """Take in what the app left unread of a body, but not for ever; return whether it could."""
        with gevent.Timeout(UNREAD_S, False):
            while request.read(RECV_BYTES):
                pass
        return request.is_whole

    def _answer(self, request: Request) -> bool:
        """Ask the app, and send what it says; return whether the connection ends with it."""
        started: list[Any] = []
        body: list[bytes] = []

        def start_response(status: str, headers: Headers, _: object = None) -> object:
            started[:] = status, headers
            return body.append

        try:
            answer = self._server.application(request.environ, start_response)
            try:
                body.extend(answer)
            finally:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
            status, headers = started
        except Exception:
            self._server.log.exception("the app failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of ours; the log has it.")
            return True
        is_last = bool(request.is_last or self._server.closed)
        self._send(status, headers, b"".join(body), request.environ["REQUEST_METHOD"], is_last)
        return is_last

    def _send(self, status: str, headers: Headers, body: bytes, method: str, is_last: bool) -> None:
        has_body = method != "HEAD" and not status.startswith(_BODILESS)
        length = len(body) if has_body else None
        head = _head(status, tuple(headers), length, is_last)
        answer = b"%bDate: %b\r\n\r\n%b" % (head, self._server.date, body if has_body else b"")
        # gevent's sendall asks the socket this and that first; nearly always one send does it.
        sent = self._socket.send(answer)
        if sent < len(answer):
            self._socket.sendall(answer[sent:])

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Say why, and end the connection once the other side has had time to read it."""
        problem = {"title": status.phrase, "status": status, "detail": detail}
        with contextlib.suppress(OSError), gevent.Timeout(UNREAD_S, False):
            self._send(
                f"{status.value} {status.phrase}",
                [("Content-Type", "application/problem+json")],
                json.dumps(problem).encode(),
                "",
                is_last=True,
            )
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(RECV_BYTES):
                pass


@lru_cache(maxsize=256)
def _head(
    status: str, headers: tuple[tuple[str, str], ...], length: int | None, is_last: bool
) -> bytes:
    """Return the head of an answer without its date; remembered, as most answers have the same."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None and not any(name.lower() == "content-length" for name, _ in headers):
        lines.append(f"Content-Length: {length}")
    if is_last:
        lines.append("Connection: close")
    head = "\r\n".join(lines)
    if not head.count("\n") == head.count("\r") == len(lines) - 1:
        raise ValueError("a header with a line break")
    return f"{head}\r\n".encode("latin-1")
