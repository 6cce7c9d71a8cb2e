"""What the client library costs an app: ``python -m ops.lab.bench.client``.

One call of ``record``, a value that waits, and how long the requests of an app take while
collectors are well, hang, or are not there. What is compared is measured in turns, since machines
change speed.
"""

import argparse
import logging
import socket
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns

from tabulate import tabulate

from metrics import Client
from ops.lab.quantiles import Quantiles, shown
from ops.lab.service import Service
from ops.lab.system import embedded_redis
from ops.local.ports import free_port

KEY, VALUE = "checkout.web-1", 123.4
BURST = 10
"""Calls between two pauses."""

PAUSE_S = 0.0002
"""Long enough for other threads to have the interpreter."""

THREADS = 4
OTHERS_S = 0.0008
"""How long a request of an app waits for a database and the like."""

WORK = 2000
"""And what it computes: about a tenth of a millisecond."""

NO_CLIENT = "no client"

Record = Callable[[], object]


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.client", description=__doc__)
    parser.add_argument("--calls", type=int, default=50_000, help="of each state and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of an app, each state, round")
    options = parser.parse_args(arguments)
    # Clients are made here that cannot deliver: what they log of it is no news.
    logging.getLogger("metrics.client").addHandler(logging.NullHandler())
    with collector() as well, socket.create_server(("127.0.0.1", 0)) as hanging:
        hangs = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        print(_table_of_calls(well, hangs, options.calls, options.rounds), "\n")
        print(f"a value that waits takes {bytes_of_a_value(hangs, 10 * options.calls):.1f} bytes\n")
        print(_table_of_an_app(well, hangs, options.seconds, options.rounds))
    return 0


@contextmanager
def collector() -> Iterator[str]:
    """A collector that takes everything; its URL."""
    with TemporaryDirectory() as folder, embedded_redis() as redis:
        service = Service("collector", redis.url, Path(folder, "collector.log"))
        try:
            yield f"http://127.0.0.1:{service.start().port}"
        finally:
            service.kill()


def clients(well: str, hangs: str, stack: ExitStack) -> dict[str, Record]:
    """Return what records one value, by the state of its client."""

    def client(url: str, max_buffered: int, max_folded: int = 50_000) -> Record:
        made = Client(url, max_buffered=max_buffered, max_folded=max_folded, flush_seconds=0.01)
        stack.callback(made.close, timeout=0.0)
        return lambda: made.record(KEY, VALUE)

    return {
        "collectors well": client(well, 1_000_000),
        "collectors hang": client(hangs, 10_000_000),
        "buffer full": client(hangs, 2, max_folded=0),
    }


def in_bursts(record: Record, calls: int) -> Quantiles:
    """Return nanoseconds of calls, between which other threads run; less those of the clock."""
    clock_ns = median(-(perf_counter_ns() - perf_counter_ns()) for _ in range(10_000))
    took: list[float] = []
    while len(took) < calls:
        time.sleep(PAUSE_S)
        for _ in range(BURST):
            begun = perf_counter_ns()
            record()
            took.append(perf_counter_ns() - begun - clock_ns)
    return Quantiles.of(took)


def _table_of_calls(well: str, hangs: str, calls: int, rounds: int) -> str:
    with ExitStack() as stack:
        records = clients(well, hangs, stack)
        found = [
            {name: in_bursts(record, calls) for name, record in records.items()}
            for _ in range(rounds)
        ]
    return _table("one call", found, "collectors well")


def bytes_of_a_value(hangs: str, values: int) -> float:
    """Return what a value takes that waits, as tracemalloc counts."""
    with closing(Client(hangs, max_buffered=2 * values + 2, flush_seconds=3600.0)) as client:
        client.record(KEY, VALUE)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(values):
            client.record(KEY, VALUE)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        client.close(timeout=0.0)
    return (after - before) / values


def _table_of_an_app(well: str, hangs: str, seconds: float, rounds: int) -> str:
    """Let an app answer in a few threads; what two without a client differ by is chance."""
    states = {
        NO_CLIENT: "",
        "no client, again": "",
        "collectors well": well,
        "collectors hang": hangs,
        "collectors refuse": f"http://127.0.0.1:{free_port()}",
    }
    names = list(states)
    found = []
    for number in range(rounds):
        first = number % len(names)
        in_turn = names[first:] + names[:first]
        found.append({name: _requests(states[name], seconds) for name in in_turn})
    return _table(
        "an app's request", [{name: each[name] for name in names} for each in found], NO_CLIENT
    )


def _requests(url: str, seconds: float) -> Quantiles:
    with closing(Client(url or "http://127.0.0.1:9", enabled=bool(url))) as client:
        give_up = perf_counter_ns() + int(seconds * 1e9)

        def answer() -> list[int]:
            took: list[int] = []
            while (begun := perf_counter_ns()) < give_up:
                time.sleep(OTHERS_S)
                sum(number * number for number in range(WORK))
                client.record(KEY, (perf_counter_ns() - begun) / 1e6)
                took.append(perf_counter_ns() - begun)
            return took

        with ThreadPoolExecutor(THREADS) as pool:
            answers = [pool.submit(answer) for _ in range(THREADS)]
        client.close(timeout=0.0)
    return Quantiles.of(chain.from_iterable(each.result() for each in answers))


def _table(what: str, rounds: Sequence[Mapping[str, Quantiles]], base: str) -> str:
    """Return a table: medians of the rounds, and of the ratios to ``base`` within a round."""
    figures: Sequence[Callable[[Quantiles], float]] = (
        lambda each: each.p50,
        lambda each: each.p99,
        lambda each: each.p999,
    )
    rows = [
        (
            name,
            *(shown(median(of(each[name]) for each in rounds)) for of in figures),
            *(
                f"{median(of(each[name]) / of(each[base]) for each in rounds):.2f}"
                for of in figures
            ),
        )
        for name in rounds[0]
    ]
    return tabulate(rows, (what, "p50", "p99", "p99.9", "to the first", "p99", "p99.9"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
