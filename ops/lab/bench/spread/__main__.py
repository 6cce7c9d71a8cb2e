"""How the work spreads over 1, 2 and 3 masters of a real Redis Cluster, and what a hot key does.

``python -m ops.lab.bench.spread --masters 1,2,3``. As many messages as are answered, of 100 keys;
for each node its share of commands, CPU, memory and messages. All nodes share the cores of this
machine, so more of them are no faster here; what tells is the share of the work that each did, and
the rate at which the busiest one would fill a core of its own. With ``--hot-key 0.9`` one key has
so much of the messages, beside the even load: as many as are answered, and then both at half the
even load's rate. Exit 1 if a message was lost or counted twice.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from math import inf

from ops.lab.bench.ingest.machine import described, load_average
from ops.lab.bench.ingest.systems import COLLECTORS, folders
from ops.lab.bench.spread.measure import Measured, measure
from ops.lab.bench.spread.report import nodes_table, partitions_told, throughput
from ops.lab.bench.spread.system import System
from ops.lab.bench.sustained.load import Plan
from ops.lab.bench.sustained.posts import FORMS


def main(arguments: Sequence[str]) -> int:
    """Measure, and print who did what."""
    options = _options(arguments)
    print(f"{described()}; {load_average()}")
    complaints: list[str] = []
    for masters in options.masters:
        with (
            folders() as (data, _),
            System(masters, data, collectors=options.collectors) as system,
        ):
            loads = _hot_and_even if options.hot_key else _even
            for name, measured in loads(system, options):
                print(f"\n{masters} {'master' if masters == 1 else 'masters'}, {name}")
                print(f"  {throughput(measured)}")
                print(partitions_told(measured))
                print(nodes_table(measured.nodes), flush=True)
                complaints += measured.complaints()
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    print(f"\n{'failed' if complaints else 'all messages accounted for'}; {load_average()}")
    return 1 if complaints else 0


def _even(system: System, options: argparse.Namespace) -> Iterator[tuple[str, Measured]]:
    plan = _plan(system, options, "even", None, inf)
    yield "as much as is answered", measure(system, plan)


def _hot_and_even(system: System, options: argparse.Namespace) -> Iterator[tuple[str, Measured]]:
    plan = partial(_plan, system, options)
    hot = options.hot_key
    even = measure(system, plan("even", None, inf))
    yield "as much as is answered", even
    flat_out = measure(system, plan("hot", hot, inf))
    ratio = flat_out.messages_per_s / even.messages_per_s
    yield f"{hot:.0%} under one key, as much as is answered: {ratio:.2f} of that", flat_out
    rate = even.messages_per_s / 2
    yield f"{rate:,.0f}/s", measure(system, plan("even-paced", None, rate))
    yield f"{rate:,.0f}/s, {hot:.0%} under one key", measure(system, plan("hot-paced", hot, rate))


def _plan(
    system: System, options: argparse.Namespace, app: str, hot: float | None, rate: float
) -> Plan:
    return Plan(
        port=system.collector.port,
        form=options.form,
        app=app,
        keys=options.keys,
        hot=hot,
        batch=options.batch,
        messages_per_s=rate,
        seconds=options.seconds,
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.spread", description=__doc__)
    parser.add_argument("--masters", type=_counts, default="1,2,3", help="how many, in turns")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--hot-key", type=_share, help="share of the messages under one key")
    parser.add_argument("--form", choices=FORMS[:2], default=FORMS[0])
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1000, help="messages in a request")
    parser.add_argument(
        "--collectors", type=int, default=COLLECTORS, help="WEB_CONCURRENCY of the collector"
    )
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    counts = [int(each) for each in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"there must be a master, got {text}")
    return counts


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"a share is between 0 and 1, got {text}")
    return share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
