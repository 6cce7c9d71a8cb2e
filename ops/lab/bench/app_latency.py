"""How long the requests of an app take while collectors are well, hang, or are not there.

``python -m ops.lab.bench.app_latency``. An app answers requests of about a millisecond in a few
threads and records each; beside it, twice, the same app with ``enabled=False``: what these two
differ by is chance. The rounds alternate, and ratios are taken within a round, since machines
change speed.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from statistics import median
from time import perf_counter_ns

from metrics import Client
from ops.lab.bench.receiver import Receiver, nobody
from ops.lab.latencies import Latencies, shown
from ops.local.ports import free_port

KEY = "checkout.web-1"
THREADS = 4
OTHERS_S = 0.0008
"""How long a request waits for a database and the like."""

WORK = 2000
"""And what it computes: about a tenth of a millisecond."""

NO_CLIENT = "no client"
NO_CLIENT_AGAIN = "no client, again"
MS_PER_NS = 1e-6


def main(arguments: Sequence[str]) -> int:
    """Print a table: how long requests take, and the ratio to the app without a client."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.lab.bench.app_latency", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each state and round")
    options = parser.parse_args(arguments)
    # The clients cannot deliver, on purpose: what they say of it is no news.
    logging.getLogger("metrics.client").addHandler(logging.NullHandler())
    with Receiver() as receiver, nobody() as hanging:
        states: dict[str, list[str]] = {
            NO_CLIENT: [],
            NO_CLIENT_AGAIN: [],
            "collectors well": receiver.destination.urls,
            "collectors hang": hanging.urls,
            "collectors refuse": [f"http://127.0.0.1:{free_port()}"],
        }
        rounds = [
            {state: _serve(states[state], options.seconds) for state in _in_turn(states, number)}
            for number in range(options.rounds)
        ]
    _print(rounds)
    return 0


def _in_turn(states: Iterable[str], number: int) -> list[str]:
    """Return the states in the order of a round: each is the first one once."""
    names = list(states)
    first = number % len(names)
    return names[first:] + names[:first]


def _serve(urls: Sequence[str], seconds: float) -> Latencies:
    """Return what requests take in an app whose collectors are these, or that has no client."""
    client = Client(urls, enabled=bool(urls))
    try:
        give_up = perf_counter_ns() + int(seconds * 1e9)
        with ThreadPoolExecutor(THREADS) as pool:
            found = [pool.submit(_answer_until, give_up, client) for _ in range(THREADS)]
        return Latencies.of(chain.from_iterable(each.result() for each in found))
    finally:
        client.close(timeout=0.0)


def _answer_until(give_up_ns: int, client: Client) -> list[int]:
    took: list[int] = []
    while (begun := perf_counter_ns()) < give_up_ns:
        _request()
        client.record(KEY, (perf_counter_ns() - begun) * MS_PER_NS)
        took.append(perf_counter_ns() - begun)
    return took


def _request() -> int:
    """Be the app's own part of a request."""
    time.sleep(OTHERS_S)
    return sum(number * number for number in range(WORK))


def _print(rounds: Sequence[dict[str, Latencies]]) -> None:
    print(f"{'':<20}{'requests':>10}{'p50':>10}{'p99':>10}{'p99.9':>10}{'ratios':>9}")
    for state in rounds[0]:
        found = [_figures(each[state]) for each in rounds]
        bare = [_figures(each[NO_CLIENT]) for each in rounds]
        print(
            f"{state:<20}{sum(each[state].calls for each in rounds):>10}"
            + "".join(f"{shown(median(each)):>10}" for each in zip(*found, strict=True))
            + "   "
            + "".join(
                f"{median(with_it / without for with_it, without in zip(*both, strict=True)):>6.2f}"
                for both in zip(zip(*found, strict=True), zip(*bare, strict=True), strict=True)
            )
        )


def _figures(latencies: Latencies) -> tuple[int, int, int]:
    return latencies.p50, latencies.p99, latencies.p999


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
