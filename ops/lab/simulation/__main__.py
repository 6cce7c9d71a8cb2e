"""``python -m ops.lab.simulation``: many schedules, or one of them again."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import count, takewhile
from time import monotonic

from ops.lab.simulation.sabotage import SABOTAGES
from ops.lab.simulation.series import (
    FAKE,
    SERVERS,
    Plan,
    Tally,
    outcomes_of,
    report_of,
    tallies_of,
)
from ops.lab.simulation.trace import lines_of

PROGRESS_S = 5.0
MINUTES = 1.0


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; return the exit status of the process."""
    asked = _read(arguments)
    plan = Plan(asked.on, asked.sabotage)
    if asked.seed is not None:
        return _again(plan, asked.seed, is_traced=asked.trace)
    begin = monotonic()
    seeds: Iterable[int] = asked.seeds
    if asked.minutes is not None:
        until = begin + asked.minutes * 60
        seeds = takewhile(lambda seed: monotonic() < until, count(asked.seeds.start))
    tally = Tally()
    shown_at = begin
    for more in tallies_of(plan, seeds, asked.jobs):
        tally.add(more)
        if monotonic() - shown_at > PROGRESS_S:
            shown_at = monotonic()
            print(_summary(tally, shown_at - begin), flush=True)
    for outcome in tally.bad:
        print(report_of(plan, outcome))
    print(_verdict(plan, tally, monotonic() - begin))
    return 1 if tally.bad else 0


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.simulation", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="one schedule; the same as ever")
    which.add_argument("--seeds", type=_range, metavar="A:B", help="those from A up to B")
    parser.add_argument("--minutes", type=float, help="as many as can be done in this time")
    parser.add_argument("--on", default=FAKE, help=f"{FAKE}, {', '.join(SERVERS)}, or a path")
    parser.add_argument("--sabotage", default="", choices=SABOTAGES, help="a rule to take away")
    parser.add_argument("--trace", action="store_true", help="with --seed: show what happened")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    asked = parser.parse_args(arguments)
    if asked.seeds is None:
        asked.seeds = range(0)
        asked.minutes = asked.minutes or MINUTES
    return asked


def _range(text: str) -> range:
    first, _, after = text.partition(":")
    return range(int(first), int(after))


def _again(plan: Plan, seed: int, *, is_traced: bool) -> int:
    """Do one schedule once more, with all that the processes log."""
    logging.basicConfig(level=logging.WARNING if is_traced else logging.CRITICAL)
    (outcome,) = outcomes_of(plan, [seed])
    if is_traced:
        print("\n".join(lines_of(outcome.records)))
    if not outcome.is_good:
        print(report_of(plan, outcome))
        return 1
    print(f"OK: seed {seed} on {plan.on}, {outcome.steps} steps, messages {dict(outcome.messages)}")
    return 0


def _summary(tally: Tally, took_s: float) -> str:
    return (
        f"{tally.schedules} schedules, {tally.schedules / took_s * 60:.0f} a minute, "
        f"{tally.messages.total()} messages, {tally.faults.total()} faults"
    )


def _verdict(plan: Plan, tally: Tally, took_s: float) -> str:
    verdict = f"FAILED: {len(tally.bad)} of" if tally.bad else "OK: nothing lost, nothing twice:"
    return f"{verdict} {_summary(tally, took_s)}, on {plan.on}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
