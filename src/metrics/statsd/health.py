"""What an agent answers over HTTP: ``/healthz``, and ``/metrics`` as Prometheus text.

Neither asks for a token: they name no key.

Source:
    Prometheus, "Exposition formats", text-based format 0.0.4; RFC 9457 for errors.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from metrics.client.stats import Stats
from metrics.cross_site import CrossSiteRules
from metrics.statsd.intake import Counts

CONNECTIONS_MAX = 16
"""How many there may be; one more, and the oldest is closed."""

SILENCE_S = 5.0
"""How long a connection may be silent."""

LOOK_S = 0.1
"""How often it is looked whether to stop."""

_Request = socket.socket | tuple[bytes, socket.socket]
"""What socketserver calls so; here it is a connection."""

_Answer = tuple[HTTPStatus, str, str]
"""Status, media type and content."""

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_JSON, _PROBLEM = "application/json", "application/problem+json"


class HealthServer(ThreadingHTTPServer):
    """Answers from threads of its own.

    Args:
        host: Address to listen at.
        port: Port to listen at; 0 for a free one.
        series: Returns the text of ``/metrics``.

    Raises:
        OSError: If it cannot listen there.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, *, series: Callable[[], str]) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._series = series
        self._rules = CrossSiteRules(host, allowed_hosts=(), allowed_origins=())
        self._open: dict[_Request, None] = {}
        super().__init__((host, port), _Handler)
        serve = partial(self.serve_forever, LOOK_S)
        threading.Thread(target=serve, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: _Request, client_address: object) -> None:
        """Serve a connection; if there are too many, hang up on the oldest."""
        open_now = list(self._open)
        if len(open_now) >= CONNECTIONS_MAX:
            self._open.pop(open_now[0], None)
            if isinstance(open_now[0], socket.socket):
                with suppress(OSError):
                    open_now[0].shutdown(socket.SHUT_RDWR)
        self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Request) -> None:
        """Forget a connection that has ended."""
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those that go away in the middle."""

    def answer(self, path: str, host: str | None) -> _Answer:
        """Return what a request is answered with."""
        refusal = self._rules.refusal("GET", host, None, None)
        if refusal is not None:
            return _problem(*refusal)
        match path.partition("?")[0]:
            case "/healthz":
                return HTTPStatus.OK, _JSON, '{"status":"ok"}'
            case "/metrics":
                return HTTPStatus.OK, _TEXT, self._series()
        return _problem(HTTPStatus.NOT_FOUND, "An agent has /healthz and /metrics only.")


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENCE_S
    server: HealthServer

    def do_GET(self) -> None:
        self._send(*self.server.answer(self.path, self.headers.get("Host")))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request that can be answered, as a problem."""
        self.close_connection = True
        # Else one whose version cannot be read gets no status.
        self.request_version = self.protocol_version
        self._send(*_problem(HTTPStatus(code), message or HTTPStatus(code).phrase))

    def _send(self, status: HTTPStatus, media_type: str, text: str) -> None:
        content = text.encode()
        # Without the header that names the version of Python.
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing: probes come all the time."""


def series(counts: Counts, stats: Stats, *, names: int, cleaned: int) -> str:
    """Return the series of an agent as Prometheus text.

    Args:
        counts: What it took.
        stats: What became of it.
        names: How many names it knows.
        cleaned: How many of them were no keys as they came.
    """
    lines: list[str] = []
    for name, kind, text, value in (
        ("pieces_total", "counter", "Datagrams, and reads of TCP", counts.pieces),
        ("messages_recorded_total", "counter", "Messages in timings", counts.recorded),
        ("lines_ignored_total", "counter", "Lines that are no timings", counts.ignored),
        ("messages_unreadable_total", "counter", "Messages in bad lines", counts.unreadable),
        ("messages_without_key_total", "counter", "Messages with no key", counts.without_key),
        ("messages_oversized_total", "counter", "Messages beyond a bound", counts.oversized),
        (
            "datagrams_dropped_total",
            "counter",
            "Datagrams that the kernel dropped",
            counts.kernel_dropped,
        ),
        ("names", "gauge", "Names that are known", names),
        ("names_cleaned", "gauge", "Names that were no keys as they came", cleaned),
        ("messages_sent_total", "counter", "Messages that a collector accepted", stats.sent),
        ("messages_rejected_total", "counter", "Messages that one refused", stats.rejected),
        ("messages_dropped_total", "counter", "Messages without room, or given up", stats.dropped),
        ("messages_buffered", "gauge", "Messages on their way", stats.buffered),
        ("retries_total", "counter", "Batches that were sent again", stats.retries),
    ):
        full = f"metrics_statsd_{name}"
        lines += [f"# HELP {full} {text}.", f"# TYPE {full} {kind}", f"{full} {value}"]
    return "\n".join([*lines, ""])


def _problem(status: HTTPStatus, detail: str) -> _Answer:
    body = {"title": status.phrase, "status": status.value, "detail": detail}
    return status, _PROBLEM, json.dumps(body)
