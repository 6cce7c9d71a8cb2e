"""What receives in benchmarks, in a process of its own: a collector and a UDP port that take all.

``python -m ops.lab.bench.receiver`` prints the port of each, and serves until its input ends.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from ops.lab.service import ROOT

HERE = ("127.0.0.1", 0)
ANSWER = b'{"rejected":0}'
DATAGRAM_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to send.

    Attributes:
        http_port: Of a collector, on 127.0.0.1.
        udp_port: Of what reads datagrams.
    """

    http_port: int
    udp_port: int

    @property
    def urls(self) -> list[str]:
        """Of the collector, as our client is told."""
        return [f"http://127.0.0.1:{self.http_port}"]


class Receiver:
    """Such a process.

    Making one starts it, and waits until it can be reached.

    Attributes:
        destination: How it is reached.

    Raises:
        RuntimeError: If it does not come up; it has told why.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.lab.bench.receiver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._process.stdout.readline() if self._process.stdout else ""
        if not told:
            raise RuntimeError("the receiver of the benchmark has not started")
        self.destination = Destination(*map(int, told.split()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def nobody() -> Iterator[Destination]:
    """Ports that take everything, and whose owner reads nothing."""
    with socket.create_server(HERE) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(HERE)
        yield Destination(tcp.getsockname()[1], udp.getsockname()[1])


class _Taking(BaseHTTPRequestHandler):
    """Takes whatever is posted."""

    protocol_version = "HTTP/1.1"
    # Headers and body leave together, or the second would wait for the other side's ack.
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _drain(udp: socket.socket) -> None:
    while True:
        udp.recv(DATAGRAM_BYTES_MAX)


def main() -> int:
    """Be the receiver."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(HERE)
        server = ThreadingHTTPServer(HERE, _Taking)
        server.daemon_threads = True
        for serve in (server.serve_forever, lambda: _drain(udp)):
            threading.Thread(target=serve, daemon=True).start()
        print(server.server_address[1], udp.getsockname()[1], flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
