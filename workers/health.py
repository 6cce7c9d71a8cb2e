"""What a worker answers over HTTP: whether it lives, whether it reaches Redis, what it did.

Whoever reaches the port cannot cost the worker more than a few descriptors, one thread for all of
them, and one call to Redis at a time.

Source:
    RFC 9110, RFC 9112; RFC 9457 for errors.
"""

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import CollectorRegistry

from metrics.cross_site import CrossSiteRules
from metrics.errors import MetricsError
from metrics.problem import PROBLEM_JSON, problem_json
from metrics.throttled_log import ThrottledLog
from workers.counters import Counters

CONNECTIONS_MAX = 32
"""How many connections there may be; one more, and the oldest is closed."""

REQUEST_S = 5.0
"""How long a request and its answer may take, from the first byte to the last."""

UNREAD_S = 0.5
"""How long what follows a request is still taken in: hanging up at once would reset the answer."""

BACKLOG = 128
"""How many connections may wait to be taken."""

HEAD_BYTES_MAX = 8192
ACCEPT_PAUSE_S = 0.2
"""How long to wait when the system gives no descriptor for the next connection."""

METHODS = ("GET", "HEAD")

_JSON = "application/json"

_log = logging.getLogger(__name__)


class _Answer(NamedTuple):
    status: HTTPStatus
    content_type: str
    content: bytes


class HealthServer:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics`` from a thread of its own.

    None of them asks for a token: they name no key.

    Args:
        host: Address to listen at.
        port: Port to listen at; 0 for a free one.
        rules: What is refused for where it comes from; the names of this machine by default.
        check: Raises a ``MetricsError`` if the worker cannot do its work. Never called twice at
            the same time.
        counters: What the worker has done.

    Raises:
        OSError: If it cannot listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        check: Callable[[], None],
        counters: Counters,
        rules: CrossSiteRules | None = None,
    ) -> None:
        self._check = check
        self._log = ThrottledLog(_log)
        self._rules = rules or CrossSiteRules(host, allowed_hosts=(), allowed_origins=())
        self._registry = CollectorRegistry()
        self._registry.register(counters)
        self._listener = _listen(host, port)
        self.server_port: int = self._listener.getsockname()[1]
        self._connections: dict[asyncio.Task[None], None] = {}
        self._checking: asyncio.Task[MetricsError | None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        for task in (accepting, *self._connections):
            task.cancel()
        self._loop.run_until_complete(
            asyncio.gather(accepting, *self._connections, return_exceptions=True)
        )
        self._listener.close()
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                _log.debug("no connection can be taken: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            connection.setblocking(False)
            if len(self._connections) >= CONNECTIONS_MAX:
                oldest = next(iter(self._connections))
                oldest.cancel()
                del self._connections[oldest]
            task = self._loop.create_task(self._serve(connection))
            self._connections[task] = None
            task.add_done_callback(lambda task: self._connections.pop(task, None))
            # One that has sent its request is answered before the next is taken.
            await asyncio.sleep(0)

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, TimeoutError), connection:
            async with asyncio.timeout(REQUEST_S):
                request = await self._read(connection)
                if request is None:
                    return
                answer = await self._answer_or_fault(request)
                await self._loop.sock_sendall(connection, _bytes_of(answer, request.method))
            connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(UNREAD_S):
                while await self._loop.sock_recv(connection, HEAD_BYTES_MAX):
                    pass

    async def _read(self, connection: socket.socket) -> "_Request | None":
        """Return a request once its head is there; None if the other side hangs up before."""
        request = _Request()
        while not request.is_whole:
            data = await self._loop.sock_recv(connection, HEAD_BYTES_MAX)
            if not data:
                return None
            request.feed(data)
        return request

    async def _answer_or_fault(self, request: "_Request") -> _Answer:
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001  (the next request may be answered)
            kind, text = type(error).__name__, "%s %.64s failed"
            method, path, level = request.method, request.path, logging.ERROR
            self._log.log(kind, text, method, path, level=level, error=error)
            detail = "A fault of ours; the log of this process has it."
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)

    async def _answer(self, request: "_Request") -> _Answer:
        if request.problem is not None:
            return _problem(*request.problem)
        refusal = self._rules.refusal("GET", request.host, None, None)
        if refusal is not None:
            return _problem(*refusal)
        if request.method not in METHODS:
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "A worker answers GET and HEAD only.")
        if request.path == "/healthz":
            return _OK
        if request.path == "/readyz":
            return await self._readiness()
        if request.path == "/metrics":
            text = generate_latest(self._registry)
            return _Answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, text)
        return _problem(HTTPStatus.NOT_FOUND, "A worker has /healthz, /readyz and /metrics only.")

    async def _readiness(self) -> _Answer:
        """Check, or wait for the check that is under way: it takes a connection of the worker's."""
        if self._checking is None or self._checking.done():
            self._checking = self._loop.create_task(asyncio.to_thread(self._failure))
        failure = await asyncio.shield(self._checking)
        if failure is not None:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, failure.public)
        return _OK

    def _failure(self) -> MetricsError | None:
        try:
            self._check()
        except MetricsError as error:
            return error
        return None


class _Request:
    """A request as its head comes in; what is wrong with it is its problem."""

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.host: str | None = None
        self.problem: tuple[HTTPStatus, str] | None = None
        self.is_whole = False
        self._bytes = 0
        self._target = b""
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # We need not speak what it offers (RFC 9110, section 7.8).
        except httptools.HttpParserError:
            self._fail(HTTPStatus.BAD_REQUEST, "This is not HTTP.")
        self._bytes += len(data)
        if not self.is_whole and self._bytes > HEAD_BYTES_MAX:
            self._fail(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The headers may have {HEAD_BYTES_MAX} bytes.",
            )

    def on_url(self, piece: bytes) -> None:
        """Note what is asked for, of which each segment of TCP may bring a piece."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note where it was sent to."""
        if name.lower() == b"host":
            self.host = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Let the request be answered."""
        self.method = self._parser.get_method().decode()
        self.path = self._target.partition(b"?")[0].decode("latin-1")
        self.is_whole = True

    def _fail(self, status: HTTPStatus, detail: str) -> None:
        if not self.is_whole:
            self.problem = status, detail
            self.is_whole = True


def _listen(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # As gunicorn does it: the IPv6 address of all interfaces is that of IPv4 as well.
    is_both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server(
        address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=is_both
    )
    listener.setblocking(False)
    return listener


def _bytes_of(answer: _Answer, method: str) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.content)}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        # As those of the services have it: no browser takes this for a page.
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
    ]
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(METHODS)}")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if method == "HEAD" else head + answer.content


def _json(status: HTTPStatus, body: dict[str, Any]) -> _Answer:
    return _Answer(status, _JSON, json.dumps(body).encode())


def _problem(status: HTTPStatus, detail: str) -> _Answer:
    return _Answer(status, PROBLEM_JSON, problem_json(status, detail))


_OK = _json(HTTPStatus.OK, {"status": "ok"})
