"""Real reverse proxies, with the configuration that ships and ports and certificates of a test."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ops.lab.certificates import Certificates
from ops.lab.service import ROOT
from ops.local.ports import free_port
from ops.local.redis_server import end_with_parent
from ops.local.waiting import wait_until

COLLECTOR, QUERY = "collector.example", "query.example"
SHIPPED = ROOT / "ops" / "deploy" / "proxy"
ANSWER_TIMEOUT_S = 60.0

_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


def found(program: str) -> str | None:
    """Return where a program is; where Debian has servers is on few a PATH."""
    return shutil.which(program, path=_PATH)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return a text with others in it, all of which must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


class StandIn(ThreadingHTTPServer):
    """Answers each request with its headers, and counts the connections that it was asked over."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve a connection."""
        self.connections += 1
        super().process_request(request, client_address)


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer in one segment

    def do_GET(self) -> None:
        content = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Say nothing."""


class ReverseProxy:
    """An nginx or a Caddy in front of two services.

    Args:
        program: Which one.
        folder: Where its files lie.
        collector: The port of the one.
        query: The port of the other.
    """

    def __init__(self, program: str, folder: Path, *, collector: int, query: int) -> None:
        self._certificates = Certificates(folder, (COLLECTOR, QUERY))
        self._port = free_port()
        self.log = folder / "log"
        self._access = folder / "access.log"
        ports = (
            ("127.0.0.1:8000", f"127.0.0.1:{collector}"),
            ("127.0.0.1:8100", f"127.0.0.1:{query}"),
        )
        make = {"nginx": self._nginx, "caddy": self._caddy}[program]
        self._command = [found(program) or program, *make(folder, ports)]
        self._environ = {"HOME": str(folder), "PATH": _PATH}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it can be connected to."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=log, stderr=log, preexec_fn=end_with_parent
            )
        wait_until(self._is_ready, what="the proxy listens")
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def connect(self, name: str) -> ssl.SSLSocket:
        """Return a connection to the service of that name, whose certificate is checked."""
        context = ssl.create_default_context(cafile=self._certificates.client.ca)
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_TIMEOUT_S)
        try:
            return context.wrap_socket(raw, server_hostname=name)
        except OSError:
            raw.close()
            raise

    def ask(self, name: str, request: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body of what is answered to some bytes."""
        with self.connect(name) as connection:
            with contextlib.suppress(OSError):  # who refuses a body does not read all of it
                connection.sendall(request)
            return answer_on(connection)

    def logged(self, text: str) -> str:
        """Return all that it has logged, once a text is in it."""

        def log() -> str:
            paths = (path for path in (self.log, self._access) if path.exists())
            return "".join(path.read_text("utf-8") for path in paths)

        wait_until(lambda: text in log(), what=f"{text} is in the log")
        return log()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text("utf-8")
        try:
            self.connect(QUERY).close()
        except ConnectionRefusedError:
            return False
        return True

    def _nginx(self, folder: Path, ports: tuple[tuple[str, str], ...]) -> list[str]:
        site = replaced(
            (SHIPPED / "nginx.conf").read_text("utf-8"),
            *ports,
            ("listen 443", f"listen 127.0.0.1:{self._port}"),
            ("/etc/nginx/metrics/collector", str(folder / "server")),
            ("/etc/nginx/metrics/query", str(folder / "server")),
            ("/var/log/nginx/metrics.log", str(self._access)),
        )
        temporary = "\n".join(
            f"{kind}_temp_path {folder / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "main.conf").write_text(
            f"daemon off; master_process off; pid {folder / 'pid'};\n"
            f"error_log {self.log};\nevents {{}}\nhttp {{\n{temporary}\n{site}\n}}\n",
            "utf-8",
        )
        return ["-e", str(self.log), "-p", str(folder), "-c", str(folder / "main.conf")]

    def _caddy(self, folder: Path, ports: tuple[tuple[str, str], ...]) -> list[str]:
        tls = f"tls {folder / 'server.pem'} {folder / 'server.key'}"
        (folder / "Caddyfile").write_text(
            replaced(
                (SHIPPED / "Caddyfile").read_text("utf-8"),
                *ports,
                ("\n{\n", "\n{\nadmin off\nauto_https disable_redirects\n"),
                (
                    f"\n{COLLECTOR} {{",
                    f"\nhttps://{COLLECTOR}:{self._port} {{\nbind 127.0.0.1\n{tls}",
                ),
                (f"\n{QUERY} {{", f"\nhttps://{QUERY}:{self._port} {{\nbind 127.0.0.1\n{tls}"),
            ),
            "utf-8",
        )
        return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def answer_on(connection: ssl.SSLSocket) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of the next answer on a connection."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.headers, response.read()
