"""What a worker answers over HTTP: whether it lives, whether it reaches Redis, what it did."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import CollectorRegistry

from metrics.errors import MetricsError
from workers.counters import Counters

_log = logging.getLogger(__name__)


class HealthServer(ThreadingHTTPServer):
    """Serves ``/healthz``, ``/readyz`` and ``/metrics`` from threads of its own.

    None of them asks for a token: they tell of no key.
    """

    daemon_threads = True

    def __init__(
        self, host: str, port: int, *, check: Callable[[], None], counters: Counters
    ) -> None:
        """Bind to the address.

        Args:
            host: Address to listen at.
            port: Port to listen at; 0 for a free one.
            check: Raises a ``MetricsError`` if the worker cannot do its work.
            counters: What the worker has done.

        Raises:
            OSError: If the address is taken.
        """
        self.check = check
        self.registry = CollectorRegistry()
        self.registry.register(counters)
        super().__init__((host, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say that a request failed, but not that whoever asked has hung up."""
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, ConnectionError) else logging.WARNING
        _log.log(level, "a request from %s failed: %s", client_address, error)

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HealthServer

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer_json(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/readyz":
            self._answer_ready()
        elif self.path == "/metrics":
            text = generate_latest(self.server.registry)
            self._answer(HTTPStatus.OK, text, CONTENT_TYPE_PLAIN_0_0_4)
        else:
            self._answer_problem(
                HTTPStatus.NOT_FOUND, "A worker has /healthz, /readyz and /metrics only."
            )

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""

    def _answer_ready(self) -> None:
        try:
            self.server.check()
        except MetricsError as error:
            self._answer_problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        else:
            self._answer_json(HTTPStatus.OK, {"status": "ok"})

    def _answer_problem(self, status: HTTPStatus, detail: str) -> None:
        problem = {"title": status.phrase, "status": status, "detail": detail}
        self._answer_json(status, problem, "application/problem+json")

    def _answer_json(
        self, status: HTTPStatus, body: object, content_type: str = "application/json"
    ) -> None:
        self._answer(status, json.dumps(body).encode(), content_type)

    def _answer(self, status: HTTPStatus, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
