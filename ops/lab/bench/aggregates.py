"""What a second's values cost an app, and the network: ``python -m ops.lab.bench.aggregates``.

An app records as many values of ten keys as others do in a second, with a client that sends each
value and with one that sends aggregates. A loop that records nothing is measured beside them, and
what it takes is subtracted. The collector here only counts bytes. Exit 1 if a value is neither
sent nor reported.
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from time import process_time
from typing import BinaryIO

import msgspec
from tabulate import tabulate

from metrics import Client
from ops.lab.load.messages import keys_of, response_times
from ops.lab.machine import described, load_average

BUFFERED = 200_000
"""Values that may wait where they are folded; where they are not, all of them may."""

BATCH_SIZE = 10_000
NOTHING, EACH, FOLDED = "nothing", "each value", "aggregates"
HEADERS = ("sends", "values a second", "CPU µs a value", "bytes", "requests", "dropped", "lost")


class Spent(msgspec.Struct, frozen=True):
    """What an app reports.

    Attributes:
        values: How many it recorded.
        cpu_s: What that took of a core, until all was delivered.
        sent: How many values its client delivered.
        dropped: How many it dropped.
    """

    values: int
    cpu_s: float
    sent: int
    dropped: int


class Sink:
    """A collector that says yes, and counts what came.

    Attributes:
        received: Bytes, of heads and bodies.
        requests: How many there were.
    """

    def __init__(self) -> None:
        self.received = self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                while head := _head_of(lines):
                    length = next(
                        int(line.split(b":")[1])
                        for line in head
                        if line.lower().startswith(b"content-length")
                    )
                    self.received += sum(map(len, head)) + 2 + len(lines.read(length))
                    self.requests += 1
                    body = b'{"accepted":0,"rejected":0}'
                    connection.sendall(
                        b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                    )


def _head_of(lines: BinaryIO) -> list[bytes]:
    found = []
    while (line := lines.readline()) not in {b"", b"\r\n"}:
        found.append(line)
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.aggregates", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="the cheapest counts")
    parser.add_argument("--app", nargs=2, metavar=("MODE", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.app:
        mode, url = options.app
        spent = record(mode, url, options.rates[0])
        print(msgspec.json.encode(spent).decode())
        return 0
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
    return Spent(values, cpu, client.stats.sent, client.stats.dropped)


def _nothing(key: str, value: float) -> None:
    """Record nothing."""


def _rows(values: int, rounds: int) -> list[tuple[object, ...]]:
    """Return a row of each way to send."""
    with closing(Sink()) as sink:
        idle = min(_run(NOTHING, sink, values).cpu_s for _ in range(rounds))
        rows: list[tuple[object, ...]] = []
        for mode in (EACH, FOLDED):
            sink.received = sink.requests = 0
            found = [_run(mode, sink, values) for _ in range(rounds)]
            rows.append(
                (
                    mode,
                    values,
                    f"{(min(each.cpu_s for each in found) - idle) / values * 1e6:.2f}",
                    sink.received // rounds,
                    f"{sink.requests / rounds:.1f}",
                    sum(each.dropped for each in found),
                    sum(each.values - each.sent - each.dropped for each in found),
                )
            )
    return rows


def _run(mode: str, sink: Sink, values: int) -> Spent:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ops.lab.bench.aggregates", "--app", mode, sink.url),
            *("--rates", str(values)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    return msgspec.json.decode(done.stdout, type=Spent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
