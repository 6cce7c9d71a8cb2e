"""How far the pipeline goes: ``python -m ops.lab.scale``.

Without a command: tables of what each rate needs, where it breaks and what to change, from the
figures in a file. ``measure`` takes these figures on the machine at hand, ``check`` compares the
model with a real run, ``simulate`` shows the backlog in bursts and failures.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.lab.bench.ingest import wrk
from ops.lab.machine import described, load_average
from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.check import DEVIATION_MAX, check
from ops.lab.scale.figures import REFERENCE, Figures
from ops.lab.scale.incidents import incidents
from ops.lab.scale.measure import SECONDS, measure
from ops.lab.scale.report import failures, report, told

ROUNDS = 3


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; return the exit status of the process."""
    options = _options(arguments)
    if options.command in ("measure", "check") and not wrk.is_installed():
        print("needs wrk (on Debian: apt install wrk)", file=sys.stderr)
        return 2
    if options.command == "measure":
        measure(options.seconds).write(options.file)
        print(f"wrote {options.file}")
    elif options.command == "check":
        return _check(options.rounds, options.seconds)
    elif options.command == "simulate":
        _simulate(options.plot)
    else:
        return _report(options.figures)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.lab.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--figures", type=Path, default=REFERENCE, help="what was measured")
    commands = parser.add_subparsers(dest="command")
    measuring = commands.add_parser("measure", help="take the figures; two minutes")
    measuring.add_argument("file", type=Path, help="where to write them")
    measuring.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    checking = commands.add_parser("check", help="exit 1 if the model is off by more than 25 %%")
    checking.add_argument("--rounds", type=int, default=ROUNDS)
    checking.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    simulating = commands.add_parser("simulate", help="bursts and failures")
    simulating.add_argument("--plot", type=Path, metavar="FOLDER", help="write scale-*.svg there")
    return parser.parse_args(arguments)


def _report(path: Path) -> int:
    try:
        figures = Figures.read(path)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report(figures, Assumptions()), failures(incidents()), sep="\n\n")
    return 0


def _check(rounds: int, seconds: float) -> int:
    print(f"{described()}; {load_average()}")
    compared = check(rounds, seconds)
    for each in compared:
        print(each)
    are_right = all(each.is_right for each in compared)
    print("the model is right" if are_right else f"FAILED: off by more than {DEVIATION_MAX:.0%}")
    print(load_average())
    return 0 if are_right else 1


def _simulate(folder: Path | None) -> None:
    for incident in incidents():
        print(told(incident))
        if folder is not None:
            # Here, since matplotlib takes longer to import than all the rest.
            from ops.lab.scale.plot import plot

            path = folder / f"scale-{incident.name}.svg"
            plot(incident, path)
            print(f"  wrote {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
