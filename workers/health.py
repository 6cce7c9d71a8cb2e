"""What a worker answers over HTTP: whether it lives, and whether it reaches Redis."""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from metrics.errors import MetricsError


class HealthServer(ThreadingHTTPServer):
    """Serves ``/healthz`` and ``/readyz`` from threads of its own."""

    daemon_threads = True

    def __init__(self, host: str, port: int, *, check: Callable[[], None]) -> None:
        """Bind to the address.

        Args:
            host: Address to listen at.
            port: Port to listen at; 0 for a free one.
            check: Raises a ``MetricsError`` if the worker cannot do its work.

        Raises:
            OSError: If the address is taken.
        """
        self.check = check
        super().__init__((host, port), _Handler)

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
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/readyz":
            self._answer_ready()
        else:
            self._answer_problem(HTTPStatus.NOT_FOUND, "A worker has /healthz and /readyz only.")

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""

    def _answer_ready(self) -> None:
        try:
            self.server.check()
        except MetricsError as error:
            self._answer_problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        else:
            self._answer(HTTPStatus.OK, {"status": "ok"})

    def _answer_problem(self, status: HTTPStatus, detail: str) -> None:
        problem = {"title": status.phrase, "status": status, "detail": detail}
        self._answer(status, problem, "application/problem+json")

    def _answer(
        self, status: HTTPStatus, body: object, content_type: str = "application/json"
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
