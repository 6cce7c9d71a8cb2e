"""A load for minutes, on this machine, with each message accounted for.

``python -m ops.lab.bench.soak --rate 100000 --minutes 10``. Redis, collector, worker and query
service run as they are deployed; a process of its own sends at a constant rate, and a line is
printed every ten seconds. ``--rate inf`` sends as much as is answered.

With ``--masters 1,2,3`` it runs on clusters of so many masters, one after the other, and shows
each node's share of the work. All nodes share the cores of this machine, so more of them are no
faster here; what counts is the rate at which the busiest would fill a core of its own. With
``--hot-key 0.9`` a second load gives one key so much of the messages.

Ten apps with 1,000 messages/s each: ``--rate 10000 --minutes 1 --form apps`` with the client
library, ``--form single --no-keys --connections 160`` with a POST for each message. Exit 1 if not
all that was sent was accepted and counted once.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.lab.bench.ingest.systems import COLLECTORS
from ops.lab.bench.soak.measure import Soaked, soak
from ops.lab.bench.soak.nodes import Masters
from ops.lab.bench.soak.report import line, spread, summary
from ops.lab.load import apps
from ops.lab.load.plan import Plan
from ops.lab.load.posts import FORMS
from ops.lab.machine import described, load_average
from ops.lab.system import System, embedded_redis

APPS = "apps"
SENDER = "ops.lab.load.sender"


def main(arguments: Sequence[str]) -> int:
    """Run the loads, and print how they go."""
    options = _options(arguments)
    print(f"{described()}; {load_average()}")
    complaints: list[str] = []
    counted = 0
    for masters in options.masters:
        with _system(masters, options.collectors) as system:
            for plan in _plans(system, options):
                print(f"\n{_named(masters, plan)}", flush=True)
                soaked = soak(
                    system,
                    plan,
                    apps.MODULE if options.form == APPS else SENDER,
                    lambda before, now: print(line(before, now), flush=True),
                )
                print(_whole(masters, soaked), flush=True)
                complaints += soaked.complaints()
                counted += soaked.counted
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    if not complaints:
        print(f"sent, accepted and counted: {counted:,} messages; {load_average()}")
    return 1 if complaints else 0


@contextmanager
def _system(masters: int, collectors: int) -> Iterator[System]:
    """A system on a cluster of so many masters, or on one plain Redis if that is 0."""
    with TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        redis = Masters(masters, folder) if masters else embedded_redis(folder)
        environ = {"collector": {"WEB_CONCURRENCY": str(collectors)}}
        with redis as shared, closing(System(shared, folder, environ=environ)) as system:
            system.start()
            yield system


def _plans(system: System, options: argparse.Namespace) -> list[Plan]:
    plan = Plan(
        port=system.collectors[0].port,
        form="client" if options.form == APPS else options.form,
        app="soak",
        keys=options.keys,
        batch=1 if options.form == "single" else options.batch,
        has_keys=options.has_keys,
        messages_per_s=options.rate,
        connections=options.connections,
        seconds=options.minutes * 60,
        tick_s=options.tick_seconds,
    )
    hot = replace(plan, app="hot", hot=options.hot_key)
    return [plan, hot] if options.hot_key else [plan]


def _named(masters: int, plan: Plan) -> str:
    where = f"{masters} master{'s' * (masters > 1)}" if masters else "one Redis"
    return f"{where}, {plan.hot:.0%} under one key" if plan.hot else where


def _whole(masters: int, soaked: Soaked) -> str:
    return f"{summary(soaked)}\n{spread(soaked)}" if masters else summary(soaked)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.lab.bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=float, default=100_000.0, help="messages/s; inf for most")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--form", choices=(*FORMS, APPS), default=FORMS[0])
    parser.add_argument("--no-keys", dest="has_keys", action="store_false")
    parser.add_argument("--keys", type=int, default=10, help="how many keys; of apps, how many")
    parser.add_argument("--batch", type=int, default=1000, help="messages in a request")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--masters", type=_counts, default=[0], help="of clusters, such as 1,2,3")
    parser.add_argument("--hot-key", type=_share, help="share of the messages under one key")
    parser.add_argument("--tick-seconds", type=float, default=10.0, help="between two lines")
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
