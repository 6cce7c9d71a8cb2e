"""How much the system takes in, beside InfluxDB and VictoriaMetrics where they are installed.

``python -m ops.lab.bench.ingest``. Each system in turn is started, loaded by wrk and stopped; the
rounds alternate, since machines change speed, and ratios are taken within a round. Ours counts
from the POST until the backlog is empty; ``--systems metrics gevent gevent_pywsgi granian`` has it
on other HTTP servers. Exit 1 if a message was lost or counted twice.
"""

import argparse
import sys
from collections.abc import Sequence

from tabulate import tabulate

from ops.lab.bench.ingest import memory, wrk
from ops.lab.bench.ingest.measure import Run, measure
from ops.lab.bench.ingest.systems import (
    COLLECTORS,
    DATABASES,
    OURS,
    Choice,
    choices,
    folders,
    ours,
)
from ops.lab.bench.ingest.table import Round, plot, table, throughputs
from ops.lab.bench.ingest.workload import BY_SIZE, GOALS, Workload
from ops.lab.machine import described, load_average
from ops.lab.service import ROOT

PLOT = ROOT / "docs" / "throughput.svg"
PARTS = ("throughput", "memory")
SECONDS, QUICK_SECONDS = 10.0, 1.5


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the tables."""
    options = _options(arguments)
    if not wrk.is_installed():
        print("needs wrk (on Debian: apt install wrk)", file=sys.stderr)
        return 2
    known = choices(options.collectors)
    chosen = _installed({name: known[name] for name in options.systems})
    print(f"{described()}; {load_average()}")
    complaints: list[str] = []
    rounds: list[Round] = []
    if "throughput" in options.parts:
        workloads = list(dict.fromkeys((*GOALS, *BY_SIZE))) if options.plot else GOALS
        rounds = [
            _round(chosen, workloads, options.seconds, number) for number in range(options.rounds)
        ]
        print(table(rounds, OURS))
        complaints += [wrong for each in rounds for run in each for wrong in run.complaints()]
    if OURS in chosen and "memory" in options.parts:
        with folders() as (data, _), ours(data, collectors=options.collectors) as system:
            print("\nMemory in Redis")
            for size in (*memory.of_key_hours(system), *memory.of_messages(system)):
                print(size)
    if options.plot and not complaints:
        _plot(rounds)
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    print(f"{'failed' if complaints else 'all messages accounted for'}; {load_average()}")
    return 1 if complaints else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.ingest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, and less exact")
    parser.add_argument("--rounds", type=int, help="of all systems; 3, or 1 if quick")
    parser.add_argument("--seconds", type=float, help="of load, each workload and round")
    parser.add_argument("--systems", nargs="+", choices=choices(1), default=DATABASES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--plot", action="store_true", help="all batch sizes, into docs/")
    parser.add_argument(
        "--collectors", type=int, default=COLLECTORS, help="WEB_CONCURRENCY of our collector"
    )
    options = parser.parse_args(arguments)
    if options.plot and "throughput" not in options.parts:
        parser.error("--plot shows the throughput: add it to --parts")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    return options


def _installed(chosen: dict[str, Choice]) -> dict[str, Choice]:
    """Return what can be started, and say what cannot."""
    for name, choice in chosen.items():
        if not choice.is_installed:
            print(f"{name} is left out: there is no {choice.program}")
        elif choice.program:
            print(f"{name} {choice.version() or 'does not say its version'}")
    return {name: choice for name, choice in chosen.items() if choice.is_installed}


def _round(
    chosen: dict[str, Choice], workloads: Sequence[Workload], seconds: float, number: int
) -> list[Run]:
    """Measure each system once; another one is the first in each round."""
    names = [*chosen]
    first = number % len(names)
    found: list[Run] = []
    for name in names[first:] + names[:first]:
        with folders() as (data, _), chosen[name].run(data) as system:
            found += [
                measure(system, workload, form, seconds)
                for workload in workloads
                for form in system.forms.get(workload.shape, ())
            ]
    return found


def _plot(rounds: Sequence[Round]) -> None:
    found = throughputs([[run for run in each if run.workload in BY_SIZE] for each in rounds])
    sizes = sorted({workload.batch for workload in BY_SIZE})
    rows = [(name, *(f"{of[size]:,.0f}" for size in sizes)) for name, of in found.items()]
    print("\n" + tabulate(rows, ("messages/s", *map(str, sizes)), disable_numparse=True))
    plot(found, PLOT, described())
    print(f"wrote {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
