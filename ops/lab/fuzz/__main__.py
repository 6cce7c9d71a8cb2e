"""``ops/fuzz``: everything that reads what others send or write, for some minutes."""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from random import randrange

from ops.lab.fuzz.parts import PROPERTIES, Outcome, Part, Reader
from ops.lab.fuzz.target import try_input
from ops.lab.fuzz.targets import TARGETS

FINDINGS = Path(__file__).parents[3] / "findings"
MINUTES = 30.0
SEEDS = 2**31

NO_ATHERIS = (
    "!! NOT FUZZED: {parts}. They need atheris, which has wheels for Linux on x86_64 and "
    "Python 3.11 to 3.13; this is Python {version}. All else was fuzzed."
)


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; return the exit status of the process."""
    asked = _read(arguments)
    if asked.replay:
        name, path = asked.replay
        try_input(TARGETS[name], Path(path).read_bytes())
        print(f"{name}: all promises are kept")
        return 0
    parts = [part for part in _parts() if any(word in part.name for word in asked.only or [""])]
    has_atheris = find_spec("atheris") is not None
    left_out = [part.name for part in parts if isinstance(part, Reader) and not has_atheris]
    parts = [part for part in parts if part.name not in left_out]
    outcomes = _run(parts, asked.minutes * 60, asked.seed, asked.jobs) if parts else []
    if left_out:
        version = ".".join(map(str, sys.version_info[:2]))
        print(NO_ATHERIS.format(parts=", ".join(left_out), version=version), file=sys.stderr)
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in bad:
        print(f"\n{outcome.name}\n{outcome.report}")
    print(f"\n{'FAIL' if bad else 'PASS'}: {len(outcomes)} parts, seed {asked.seed}")
    return 1 if bad or not outcomes else 0


def _parts() -> list[Part]:
    return [*(Reader(name, FINDINGS) for name in TARGETS), *PROPERTIES]


def _run(parts: Sequence[Part], seconds: float, seed: int, jobs: int) -> list[Outcome]:
    """Run all parts, so many at a time, each for its share of the time."""
    share_s = seconds * min(jobs, len(parts)) / len(parts)
    print(f"{len(parts)} parts, {share_s:.0f} s each, {jobs} at a time, seed {seed}", flush=True)

    def run(part: Part) -> Outcome:
        outcome = part.run(share_s, seed)
        print(f"{'ok  ' if outcome.is_good else 'FAIL'} {outcome.name}: {outcome.done}", flush=True)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, parts))


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ops/fuzz", description=__doc__)
    parser.add_argument(
        "minutes", type=float, nargs="?", default=MINUTES, help="in all (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=randrange(SEEDS), help="of all random numbers")  # noqa: S311
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="parts with this in their name; repeatable"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parts at a time")
    parser.add_argument(
        "--replay", nargs=2, metavar=("PART", "FILE"), help="read one input again, and no more"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
