"""Apps record while collectors die: all of it counts once, and ``record`` takes no longer.

Each app is a process with both collectors' URLs and a key of its own. One collector at a time is
killed and started again; or, with --away, all are away at once, and then every other app has a
buffer that is too small for that. Ends with one line, PASS or FAIL.
"""

import argparse
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from time import monotonic, sleep

from ops.lab.chaos.apps.app import CALM, FIRST_CALL
from ops.lab.chaos.apps.check import BLOCKED_NS, differences
from ops.lab.chaos.apps.faults import all_away, one_at_a_time
from ops.lab.chaos.apps.fleet import Fleet, Kind
from ops.lab.chaos.apps.report import Report
from ops.lab.chaos.apps.site import Site
from ops.lab.latencies import Latencies, shown
from ops.local.signals import interrupt_on_signals

FAULTS = "faults"
CALM_S = 5.0
RATE = 200.0
BUFFER_SHARE_SMALL = 0.5
BUFFER_SHARE_LARGE = 3.0
"""Of what an app records while all collectors are away."""

AWAY_MORE_S = 3.0
"""How much longer it takes, at least, until they answer again."""

DEFAULT_BUFFER = 10_000
FINDINGS_SHOWN = 20
INTERRUPTED = 130

_FAILURES = (TimeoutError, RuntimeError, ValueError, OSError, subprocess.TimeoutExpired)
"""What is raised when something that must come does not."""


def main(arguments: Sequence[str]) -> int:
    """Do a run; return 0 for PASS, 1 for FAIL."""
    options = _options(arguments)
    interrupt_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="metrics-apps-"))
    print(f"seed {options.seed}; logs are in {folder}", flush=True)
    try:
        reports, findings, faults = _run(options, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        print("ops.lab.chaos.apps: interrupted", file=sys.stderr)
        return INTERRUPTED
    except _FAILURES as error:
        print(f"FAIL seed={options.seed}: {type(error).__name__}: {error}")
        return 1
    findings += _compare_phases(reports)
    for finding in findings[:FINDINGS_SHOWN]:
        print(finding)
    if not findings:
        shutil.rmtree(folder)
    recorded = sum(report.recorded for report in reports)
    dropped = sum(report.dropped for report in reports)
    print(
        f"{'FAIL' if findings else 'PASS'} seed={options.seed} recorded={recorded} "
        f"dropped={dropped} faults={faults} findings={len(findings)}"
    )
    return 1 if findings else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.chaos.apps", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--seconds", type=float, default=60.0, help="of faults")
    parser.add_argument("--away", type=float, help="seconds for which all collectors are away")
    parser.add_argument("--calm", type=float, default=CALM_S, help="seconds before that")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rate", type=float, default=RATE, help="values a second of each")
    parser.add_argument("--source", type=Path, help="folder with a metrics package for the apps")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, folder: Path) -> tuple[list[Report], list[str], int]:
    """Return the apps' reports, what differs from them, and how many faults there were."""
    with ExitStack() as stack:
        site = stack.enter_context(closing(Site(folder)))
        site.start()
        kinds = _kinds(options)
        log = folder / "apps.log"
        fleet = Fleet(kinds, site.urls, log, source=options.source)
        stack.callback(fleet.kill)
        fleet.wait_until_begun()
        sleep(options.calm)
        fleet.enter(FAULTS)
        begun = monotonic()

        def say(text: str) -> None:
            print(f"{monotonic() - begun:6.1f} s  {text}", flush=True)

        if options.away is None:
            faults = one_at_a_time(site, seconds=options.seconds, seed=options.seed, say=say)
        else:
            faults = all_away(site, seconds=options.away, say=say)
        reports = fleet.close()
        say("all apps are closed")
        site.drain()
        findings = list(differences(reports, site.query.get))
        findings += _wrong_drops(kinds, reports)
        return reports, findings, faults


def _kinds(options: argparse.Namespace) -> list[Kind]:
    keys = [f"checkout.web-{number}" for number in range(1, options.processes + 1)]
    if options.away is None:
        return [Kind(key, options.rate, DEFAULT_BUFFER) for key in keys]
    small = int(options.rate * options.away * BUFFER_SHARE_SMALL)
    large = int(options.rate * (options.away + AWAY_MORE_S) * BUFFER_SHARE_LARGE)
    return [
        *(Kind(key, options.rate, large) for key in keys[::2]),
        *(Kind(key, options.rate, small, must_drop=True) for key in keys[1::2]),
    ]


def _wrong_drops(kinds: Sequence[Kind], reports: Sequence[Report]) -> list[str]:
    """Return which apps have dropped though they had room, or had none and did not."""
    return [
        f"{kind.key}: dropped {report.dropped} with room for {kind.max_buffered}"
        for kind, report in zip(kinds, reports, strict=True)
        if (report.dropped > 0) != kind.must_drop
    ]


def _compare_phases(reports: Sequence[Report]) -> list[str]:
    """Print how long ``record`` took, and return what took too long."""
    latencies = {
        phase: Latencies.of(chain.from_iterable(report.record_ns[phase] for report in reports))
        for phase in (FIRST_CALL, CALM, FAULTS)
    }
    print(f"{'record':<10}{'calls':>10}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}")
    for phase, each in latencies.items():
        figures = (each.p50, each.p99, each.p999, each.max)
        print(f"{phase:<10}{each.calls:>10}" + "".join(f"{shown(ns):>10}" for ns in figures))
    calm, faults = latencies[CALM], latencies[FAULTS]
    ratios = (faults.p50 / calm.p50, faults.p99 / calm.p99, faults.p999 / calm.p999)
    print(f"{'ratio':<20}" + "".join(f"{ratio:>10.2f}" for ratio in ratios))
    if faults.p999 < BLOCKED_NS:
        return []
    return [f"record took {shown(faults.p999)} in one of a thousand calls: it waits for something"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
