"""What a second's values cost an app, and the network: ``python -m ops.lab.bench.aggregates``.

An app records as many values of ten keys as others do in a second, with a client that sends each
value and with one that sends aggregates. A loop that records nothing is measured beside them, and
what it takes is subtracted. The collector here only counts bytes. Exit 1 if a value is neither
sent nor reported.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from threading import Thread
from time import process_time
from typing import NamedTuple

from tabulate import tabulate

from metrics import Client
from ops.lab.load.messages import keys_of, response_times
from ops.lab.machine import described, load_average

BUFFERED = 200_000
"""Values that may wait where they are folded; where they are not, all of them may."""

BATCH_SIZE = 10_000
NOTHING, EACH, FOLDED = "nothing", "each value", "aggregates"
HEADERS = ("sends", "values a second", "CPU µs a value", "bytes", "requests", "dropped", "lost")


class Spent(NamedTuple):
    """What an app reports of the values that it recorded.

    Attributes:
        cpu_s: What they took of a core, until all was delivered.
        sent: How many values its client delivered.
        dropped: How many it dropped.
    """

    cpu_s: float
    sent: int
    dropped: int


class Sink(ThreadingHTTPServer):
    """A collector that says yes, and counts what came.

    Attributes:
        received: Bytes, of heads and bodies.
        requests: How many there were.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Yes)
        self.received = self.requests = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Yes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def do_POST(self) -> None:
        """Take a request."""
        head = sum(len(f"{name}: {value}\r\n") for name, value in self.headers.items())
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received += len(f"{self.requestline}\r\n\r\n") + head + len(body)
        self.server.requests += 1
        answer = b'{"accepted":0,"rejected":0}'
        self.send_response(HTTPStatus.ACCEPTED)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.aggregates", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="the cheapest counts")
    options = parser.parse_args(arguments)
    print(f"{described()}; {load_average()}")
    rows = [row for rate in options.rates for row in _rows(rate, options.rounds)]
    print(tabulate(rows, HEADERS))
    return int(any(row[-1] for row in rows))


def record(mode: str, url: str, values: int) -> Spent:
    """Record so many values, and deliver them; return what that took."""
    keys = keys_of("checkout")
    times = response_times(values, seed=1)
    client = Client(
        url,
        enabled=mode != NOTHING,
        aggregate=mode == FOLDED,
        max_buffered=BUFFERED if mode == FOLDED else 2 * values + 2,
        batch_size=BATCH_SIZE,
        flush_seconds=60.0,
        answer_seconds=30.0,
        environ={},
    )
    add: Callable[[str, float], None] = client.record if mode != NOTHING else _nothing
    cpu = process_time()
    for number in range(values):
        add(keys[number % 10], times[number])
    with closing(client):
        client.flush(60)
    cpu = process_time() - cpu
    return Spent(cpu, client.stats.sent, client.stats.dropped)


def _nothing(key: str, value: float) -> None:
    """Record nothing."""


def _rows(values: int, rounds: int) -> list[tuple[object, ...]]:
    """Return a row of each way to send, from apps that are processes of their own."""
    rows: list[tuple[object, ...]] = []
    with (
        Sink() as sink,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        Thread(target=sink.serve_forever, daemon=True).start()

        def spent(mode: str) -> list[Spent]:
            return list(pool.map(record, *zip(*[(mode, sink.url, values)] * rounds, strict=True)))

        idle_s = min(each.cpu_s for each in spent(NOTHING))
        for mode in (EACH, FOLDED):
            sink.received = sink.requests = 0
            found = spent(mode)
            rows.append(
                (
                    mode,
                    values,
                    f"{(min(each.cpu_s for each in found) - idle_s) / values * 1e6:.2f}",
                    sink.received // rounds,
                    f"{sink.requests / rounds:.1f}",
                    sum(each.dropped for each in found),
                    sum(values - each.sent - each.dropped for each in found),
                )
            )
        sink.shutdown()
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
