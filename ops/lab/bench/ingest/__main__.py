"""How much the system takes in, beside InfluxDB and VictoriaMetrics where they are installed.

``python -m ops.lab.bench.ingest``. Each system in turn is started, loaded by wrk and stopped; the
rounds alternate, since machines change speed, and ratios are taken within a round. Ours counts
from the POST until the backlog is empty. Exit 1 if a message was lost or counted twice.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.lab.bench.ingest import memory, queries, steady, wrk
from ops.lab.bench.ingest.machine import described, load_average
from ops.lab.bench.ingest.measure import Run, measure
from ops.lab.bench.ingest.ours import NAME, Ours
from ops.lab.bench.ingest.plot import svg
from ops.lab.bench.ingest.systems import COLLECTORS, Choice, choices, folders, told
from ops.lab.bench.ingest.table import Round, table, throughputs
from ops.lab.bench.ingest.workload import BY_SIZE, GOALS, ROWS, Workload
from ops.lab.service import ROOT

PLOT = ROOT / "docs" / "throughput.svg"
PARTS = ("throughput", "steady", "queries", "memory")
SECONDS, QUICK_SECONDS = 10.0, 1.5
STEADY_SECONDS, QUICK_STEADY_SECONDS = 60.0, 4.0


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
        print(table(rounds, NAME))
        complaints += [wrong for each in rounds for run in each for wrong in run.complaints()]
    if NAME in chosen:
        complaints += _ours_alone(options)
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
    parser.add_argument("--steady-seconds", type=float, help="of the seed's load")
    parser.add_argument("--systems", nargs="+", choices=choices(1), default=[*choices(1)])
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
    options.steady_seconds = options.steady_seconds or (
        QUICK_STEADY_SECONDS if options.quick else STEADY_SECONDS
    )
    return options


def _installed(chosen: dict[str, Choice]) -> dict[str, Choice]:
    """Return what can be started, and say what cannot."""
    for name, choice in chosen.items():
        if not choice.is_installed:
            print(f"{name} is left out: there is no {choice.program} on the PATH")
        elif choice.program:
            print(f"{name} {told(choice) or 'does not tell its version'}")
    return {name: choice for name, choice in chosen.items() if choice.is_installed}


def _round(
    chosen: dict[str, Choice], workloads: Sequence[Workload], seconds: float, number: int
) -> list[Run]:
    """Measure each system once; another one is the first in each round."""
    names = [*chosen]
    first = number % len(names)
    found: list[Run] = []
    for name in names[first:] + names[:first]:
        with folders() as (data, bodies), chosen[name].make(data) as system:
            found += [
                measure(system, workload, form, seconds, bodies)
                for workload in workloads
                for form in system.forms.get(workload.shape, ())
            ]
    return found


def _ours_alone(options: argparse.Namespace) -> list[str]:
    """Measure what only ours is asked for; return what is wrong."""
    complaints: list[str] = []
    with folders() as (data, bodies), Ours(data, collectors=options.collectors) as ours:
        if "steady" in options.parts:
            print("\nThe seed's load, 10 apps with 1,000 messages/s each")
            for each in (
                steady.by_posts(ours, options.steady_seconds, bodies),
                steady.by_client(ours, options.steady_seconds),
            ):
                print(each)
                complaints += each.complaints()
        if "queries" in options.parts:
            print(f"\nThe median; of one key-hour {queries.PER_S:.0f} times a second")
            for queried in _queried(ours, options.seconds, bodies):
                print(queried)
                complaints += queried.complaints()
        if "memory" in options.parts:
            print("\nMemory in Redis")
            for size in (*memory.of_key_hours(ours), *memory.of_messages(ours, bodies)):
                print(size)
    return complaints


def _queried(ours: Ours, seconds: float, bodies: Path) -> list[queries.Queried]:
    # Its maximum is measured here once more: the machine may be slower now than in any round.
    most = measure(ours, ROWS, ours.forms["rows"][0], seconds, bodies).messages_per_s
    return [
        *queries.by_size(ours, seconds, bodies),
        queries.beside_ingest(ours, most / 2, seconds, bodies),
        *queries.wide(ours, seconds, bodies),
    ]


def _plot(rounds: Sequence[Round]) -> None:
    sizes = {workload.batch for workload in BY_SIZE}
    shown = [[run for run in each if run.workload in BY_SIZE] for each in rounds]
    found = throughputs(shown)
    first = {NAME: found.pop(NAME)} if NAME in found else {}
    print("\nmessages/s" + "".join(f"{size:>12,}" for size in sorted(sizes)) + "  a request")
    for name, figures in {**first, **found}.items():
        print(f"{name:<17}" + "".join(f"{figures[size]:>12,.0f}" for size in sorted(sizes)))
    PLOT.parent.mkdir(exist_ok=True)
    title = "Throughput from POST to counted, rows"
    PLOT.write_text(svg({**first, **found}, title, described()), "utf-8")
    print(f"wrote {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
