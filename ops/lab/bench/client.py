"""What recording one response time costs an app, beside other libraries.

``python -m ops.lab.bench.client``. Everything is measured in one run against a process that really
receives; the rounds alternate, since machines change speed, and ratios are taken within a round.
"""

import argparse
import logging
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

from ops.lab.bench import libraries
from ops.lab.bench.libraries import SetUp
from ops.lab.bench.receiver import Destination, Receiver, nobody
from ops.lab.bench.single_calls import clock_ns, in_a_loop, in_bursts, one_after_the_other
from ops.lab.latencies import Latencies
from ops.local.ports import free_port

CALLS = 50_000
ROUNDS = 3
VALUES = 1_000_000
LOST = 1000
"""Messages that are sent to nobody, to see who notices."""

SETTLE_S = 0.1
"""A thread that was to notice something has done it after this long."""


@dataclass(frozen=True, slots=True)
class Row:
    """A library in one of its states.

    Attributes:
        name: What it is called.
        package: What must be installed.
        idle: Sets it up to be measured while nothing else happens.
        flushing: And while it delivers; None if each call does that itself.
        is_heard: Whether somebody receives what it sends.
    """

    name: str
    package: str
    idle: SetUp
    flushing: SetUp | None = None
    is_heard: bool = True


OURS = "metrics"
ROWS = (
    Row(OURS, "metrics", libraries.idle, libraries.flushing),
    Row("metrics, collectors hang", "metrics", libraries.roomy, libraries.roomy, is_heard=False),
    Row("metrics, buffer full", "metrics", libraries.full, libraries.full, is_heard=False),
    Row("statsd", "statsd", libraries.statsd),
    Row("datadog", "datadog", libraries.datadog),
    Row("datadog, buffer", "datadog", libraries.datadog_buffered, libraries.datadog_flushing),
    Row(
        "datadog, sender thread",
        "datadog",
        libraries.datadog_background,
        libraries.datadog_background,
    ),
    Row(
        "prometheus_client", "prometheus_client", libraries.prometheus, libraries.prometheus_scraped
    ),
)

KEEPERS = (
    Row(OURS, "metrics", libraries.roomy),
    Row("datadog, buffer", "datadog", libraries.datadog_kept),
)
"""What holds messages in memory until they are sent, set up to hold all of them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs in one round.

    Attributes:
        idle: While nothing else happens.
        flushing: While a flush runs.
        loop_ns: In a loop that does nothing else, on average.
    """

    idle: Latencies
    flushing: Latencies | None
    loop_ns: float


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.client", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--values", type=int, default=VALUES, help="held in memory")
    options = parser.parse_args(arguments)
    # Clients are made here that cannot deliver: what they say of it is no news.
    logging.getLogger("metrics.client").addHandler(logging.NullHandler())
    missing = {row.package for row in ROWS if find_spec(row.package) is None}
    for package in sorted(missing):
        print(f"{package} is left out, it is not installed: pip install '.[bench]'")
    rows = [row for row in ROWS if row.package not in missing]
    with Receiver() as receiver, nobody() as unread:
        heard = receiver.destination
        rounds = [
            {row.name: _cost(row, heard if row.is_heard else unread, options.calls) for row in rows}
            for _ in range(options.rounds)
        ]
        _print_costs(rounds)
        _print_bytes([row for row in KEEPERS if row.package not in missing], unread, options.values)
        _print_noticed([row for row in rows if row.is_heard], unread)
    return 0


def _cost(row: Row, to: Destination, calls: int) -> Cost:
    with row.idle(to, calls) as library:
        idle = one_after_the_other(library.record, library.arguments, calls)
    with row.idle(to, calls) as library:
        loop_ns = in_a_loop(library.record, library.arguments, calls)
    if row.flushing is None:
        return Cost(idle, None, loop_ns)
    with row.flushing(to, calls) as library:
        flushing = in_bursts(library.record, library.arguments, calls, library.between)
    return Cost(idle, flushing, loop_ns)


def _print_costs(rounds: Sequence[dict[str, Cost]]) -> None:
    print(f"One call, in ns; {clock_ns()} ns for reading the clock are taken off each.")
    print(f"{'':<26}{'nothing else happens':^24}{'while a flush runs':^24}{'in a loop':^18}")
    figures = ("median", "p99", "p99.9") * 2 + ("mean",)
    print(f"{'':<26}" + "".join(f"{figure:>8}" for figure in figures) + "   to ours")
    for name in rounds[0]:
        costs = [costs[name] for costs in rounds]
        ratio = median(costs[name].loop_ns / costs[OURS].loop_ns for costs in rounds)
        print(
            f"{name:<26}{_three([cost.idle for cost in costs])}"
            f"{_three([cost.flushing for cost in costs if cost.flushing])}"
            f"{median(cost.loop_ns for cost in costs):>8.0f}{ratio:>10.1f}"
        )


def _three(found: Sequence[Latencies]) -> str:
    """Return three figures, each the median of its rounds."""
    if not found:
        return f"{'-':>8}" * 3
    figures: tuple[Callable[[Latencies], int], ...] = (
        lambda each: each.p50,
        lambda each: each.p99,
        lambda each: each.p999,
    )
    return "".join(f"{median(map(figure, found)):>8.0f}" for figure in figures)


def _print_bytes(rows: Sequence[Row], to: Destination, values: int) -> None:
    print(f"\nMemory of a value that waits, in bytes: of {values}, as tracemalloc counts.")
    for row in rows:
        tracemalloc.start()
        try:
            with row.idle(to, values) as library:
                before, _ = tracemalloc.get_traced_memory()
                for _ in range(values):
                    library.record(*library.arguments)
                after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        print(f"{row.name:<26}{(after - before) / values:>8.1f}")


def _print_noticed(rows: Sequence[Row], unread: Destination) -> None:
    print(f"\nOf {LOST} messages that nobody got, so many did the library know of.")
    print(f"{'':<26}{'hangs':>8}{'refused':>8}")
    refused = Destination(free_port(), free_port())
    for row in rows:
        print(f"{row.name:<26}{_noticed(row, unread):>8}{_noticed(row, refused):>8}")


def _noticed(row: Row, to: Destination) -> int:
    set_up = libraries.roomy if row.name == OURS else row.idle
    with set_up(to, LOST) as library:
        for _ in range(LOST):
            library.record(*library.arguments)
        time.sleep(SETTLE_S)
        return library.noticed()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
