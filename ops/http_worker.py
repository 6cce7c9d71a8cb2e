"""gunicorn's gevent_pywsgi worker, with the deadlines and the strictness that it leaves out.

It serves a fifth more requests than gunicorn's other gevent worker (ops/bench/http_workers.py),
but waits for ever for a request that does not come, and passes requests on whose length is told
twice.
"""

import json
import re
from http import HTTPStatus
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIHandler, PyWSGIServer

IDLE_S = 30.0
"""How long a connection may lie idle between requests; clients send every second or so."""

HEADERS_S = 5.0
"""How long the headers of a request may take to come."""

UNREAD_S = 2.0
"""How long a refused body is still taken in: a client that cannot send on reads no answer."""

_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class Handler(PyWSGIHandler):  # type: ignore[misc]  # gunicorn has no types
    """One connection and its requests."""

    def read_requestline(self) -> str:
        """Return the first line of the next request; empty to close the connection."""
        if self.server.closed:
            return ""
        idle: set[gevent.Greenlet] = self.server.idle
        this = gevent.getcurrent()
        idle.add(this)
        try:
            with gevent.Timeout(IDLE_S):
                return str(super().read_requestline())
        except gevent.Timeout:
            return ""
        finally:
            idle.discard(this)

    def read_request(self, raw_requestline: str) -> bool:
        """Read the headers.

        Raises:
            ValueError: If they are not those of one request, whoever reads them.

        Source:
            RFC 9112, section 6.3, on messages whose length is told twice.
        """
        with gevent.Timeout(HEADERS_S, ValueError("headers came too slowly")):
            is_read = bool(super().read_request(raw_requestline))
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if len(lengths) + len(codings) > 1 or any(not _LENGTH.fullmatch(text) for text in lengths):
            raise ValueError("Content-Length or Transfer-Encoding is not one plain value")
        if any(coding.lower() != "chunked" for coding in codings):
            raise ValueError("Transfer-Encoding must be chunked")
        return is_read

    def run_application(self) -> None:
        """Answer the request, then take in what the app left unread of it, but not for ever."""
        super().run_application()
        unread = self.wsgi_input
        if unread.position < (unread.content_length or 0) or unread.chunked_input:
            try:
                with gevent.Timeout(UNREAD_S):
                    unread._discard()
            except gevent.Timeout:
                self.close_connection = True
                unread.content_length, unread.chunked_input = 0, False

    def log_request(self) -> None:
        """Write the access log, if there is one."""
        if self.server.log.cfg.accesslog:
            super().log_request()

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        status = HTTPStatus.BAD_REQUEST
        detail = str(ex) if isinstance(ex, ValueError) else "The request is not HTTP."
        problem = {"title": status.phrase, "status": status, "detail": detail}
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return str(status.value), head.encode() + body


class Server(PyWSGIServer):  # type: ignore[misc]
    """The listener of a worker process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (gevent's own)
        super().__init__(*args, **kwargs)
        self.idle: set[gevent.Greenlet] = set()

    def close(self) -> None:
        """Stop listening, and hang up on those that ask nothing just now."""
        super().close()
        self.loop.run_callback(self._hang_up)

    def _hang_up(self) -> None:
        # In the hub, so that none of them can get a request between the look and the end.
        for connection in list(self.idle):
            connection.throw(gevent.GreenletExit)


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """What gunicorn's ``worker_class`` names."""

    server_class = Server
    wsgi_handler = Handler
