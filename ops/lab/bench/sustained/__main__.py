"""Many times the seed's load for minutes, on this machine, with each message accounted for.

``python -m ops.lab.bench.sustained --rate 100000 --minutes 10``. Redis, collector, worker and query
service run as they are deployed; a process of its own sends at a constant rate, each batch under
an ``Idempotency-Key``. A line is printed every ten seconds, and at the end what stood against a
higher rate. Exit 1 if not all that was sent was accepted and counted once.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

from ops.lab.bench.ingest.machine import described, load_average
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.systems import COLLECTORS, folders
from ops.lab.bench.sustained.backlog_looks import LOOK_EVERY_S, look_at
from ops.lab.bench.sustained.load import Load, Plan
from ops.lab.bench.sustained.meter import Meter, Reading, between
from ops.lab.bench.sustained.posts import FORMS
from ops.lab.bench.sustained.queries import ASK_EVERY_S, Asker
from ops.lab.bench.sustained.repeated import Repeated
from ops.lab.bench.sustained.report import head, line, summary
from ops.lab.bench.sustained.verdict import PartitionAudit, kept_up, where_stuck

APP = "sustained"


@dataclass(frozen=True, slots=True)
class Found:
    """What a load came to.

    Attributes:
        begin: What was known before it.
        end: What was known when its last answer was there.
        drain_s: How long the worker went on.
        books: Its messages, as everybody has counted them.
    """

    begin: Reading
    end: Reading
    drain_s: float
    audit: PartitionAudit


def main(arguments: Sequence[str]) -> int:
    """Run the load, and print how it goes."""
    options = _options(arguments)
    print(f"{described()}; {load_average()}")
    with folders() as (data, _), Ours(data, collectors=options.collectors) as ours:
        found = sustain(ours, _plan(options, ours.port))
    whole = between(found.begin, found.end)
    begun_bytes = found.begin.memory_bytes
    print(f"\n{summary(whole, memory_begun_bytes=begun_bytes, drain_s=found.drain_s)}")
    print(f"kept up: {'yes' if kept_up(whole) else 'no'}")
    for reason in where_stuck(whole):
        print(f"  {reason}")
    complaints = found.audit.complaints()
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    if not complaints:
        print(f"sent, accepted and counted: {found.audit.counted:,} messages; {load_average()}")
    return 1 if complaints else 0


def sustain(ours: Ours, plan: Plan) -> Found:
    """Put a load on the system, print a line for each tick, and count its messages.

    Args:
        ours: The system, which is up; nobody must have sent it anything before.
        plan: The load.
    """
    print(head(), flush=True)
    with ExitStack() as stack:
        asker = Asker(ours.query.port, plan.key_names)
        stack.callback(asker.close)
        looking = partial(look_at, ours.connection, ours.partitions)
        looks = stack.enter_context(Repeated(looking, LOOK_EVERY_S))
        asked = stack.enter_context(Repeated(asker.ask, ASK_EVERY_S))
        load = stack.enter_context(Load(plan))
        meter = Meter(ours, load, looks, asked)
        readings: list[Reading] = []
        for tick in load.ticks():
            readings.append(meter.read(tick))
            if len(readings) > 1 and not tick.is_last:
                _print_part(readings)
    begin, end = readings[0], readings[-1]
    ended = monotonic()
    ours.drain()
    drain_s = monotonic() - ended
    audit = PartitionAudit(
        sent=end.tick.sent,
        accepted=end.tick.accepted,
        appended=ours.accepted(),
        counted=ours.counted(plan.key_names, end.tick.sent),
        statuses=end.tick.statuses,
        queries_failed=sum(not each.is_answer for each in end.asked),
    )
    return Found(begin, end, drain_s, audit)


def _print_part(readings: Sequence[Reading]) -> None:
    begun, before, now = readings[0], readings[-2], readings[-1]
    print(line(now.used.at - begun.used.at, between(before, now)), flush=True)


def _plan(options: argparse.Namespace, port: int) -> Plan:
    return Plan(
        port=port,
        form=options.form,
        app=APP,
        keys=options.keys,
        batch=1 if options.form == "single" else options.batch,
        messages_per_s=options.rate,
        connections=options.connections,
        seconds=options.minutes * 60,
        tick_s=options.tick_seconds,
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.sustained", description=__doc__)
    parser.add_argument("--rate", type=float, default=100_000.0, help="messages/s; inf for most")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--form", choices=FORMS, default=FORMS[0])
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1000, help="messages in a request")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--tick-seconds", type=float, default=10.0, help="between two lines")
    parser.add_argument(
        "--collectors", type=int, default=COLLECTORS, help="WEB_CONCURRENCY of the collector"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
