"""The load of apps: each is a process with a client, and all hear which phase of the run begins."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import sleep

import msgspec
from tabulate import tabulate

from ops.lab.chaos.apps.app import BEGUN, CALM, CLOSE_TIMEOUT_S, FIRST_CALL, LAST_PHASE
from ops.lab.chaos.apps.check import BLOCKED_NS, differences
from ops.lab.chaos.apps.report import Report
from ops.lab.chaos.system import ChaosSystem
from ops.lab.chaos.verdict import Finding, Say
from ops.lab.quantiles import Quantiles, shown
from ops.lab.service import ROOT
from ops.local.redis_server import end_with_parent

FAULTS = "faults"
BUFFER_SHARE = 0.5
"""Of what an app records while all collectors are away, so much has room."""

DEFAULT_BUFFER = 10_000
FOLDED = 50_000
"""How many buckets an app has room for that folds what it has no room for."""


@dataclass(frozen=True, slots=True)
class AppSpec:
    """What an app is like.

    Attributes:
        key: Its key, and its name in messages.
        rate: Values a second.
        max_buffered: Values that may wait in its client.
        must_drop: Whether these are too few for what happens in the run, and it does not fold.
    """

    key: str
    rate: float
    max_buffered: int
    must_drop: bool = False


def specs_of(count: int, rate: float, away_s: float | None) -> list[AppSpec]:
    """Return apps; if all collectors are away for so long, none has room, and half of them fold."""
    keys = [f"checkout.web-{number}" for number in range(1, count + 1)]
    if away_s is None:
        return [AppSpec(key, rate, DEFAULT_BUFFER) for key in keys]
    room = int(rate * away_s * BUFFER_SHARE)
    return [
        *(AppSpec(key, rate, room) for key in keys[::2]),
        *(AppSpec(key, rate, room, must_drop=True) for key in keys[1::2]),
    ]


class Fleet:
    """App processes, from their start to the comparison of their reports with what is counted.

    Args:
        specs: One for each.
        collectors: URLs, any of which will do.
        log: The file to which they write what goes wrong.
        calm_s: How long they record before the faults begin.
        source: A folder whose packages they use instead of ours, if there is one.
    """

    def __init__(
        self,
        specs: Sequence[AppSpec],
        collectors: Sequence[str],
        log: Path,
        *,
        calm_s: float,
        source: Path | None = None,
    ) -> None:
        self._specs = specs
        self._log = log
        self._calm_s = calm_s
        self._environ = {**os.environ, "METRICS_COLLECTORS": ",".join(collectors)}
        if source is not None:
            self._environ["PYTHONPATH"] = str(source)
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._reports: list[Report] = []

    def start(self) -> None:
        """Start them, and let them record for a while.

        Raises:
            ValueError: If one has ended instead; with its name.
        """
        with self._log.open("ab") as file:
            for spec in self._specs:
                self._processes[spec.key] = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "ops.lab.chaos.apps.app"),
                        *(spec.key, str(spec.rate), str(spec.max_buffered)),
                        str(0 if spec.must_drop else FOLDED),
                    ],
                    cwd=ROOT,
                    env=self._environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                    preexec_fn=end_with_parent,
                )
        for key, process in self._processes.items():
            if process.stdout is None or process.stdout.readline().strip() != BEGUN:
                raise ValueError(f"the app {key} has not begun")
        sleep(self._calm_s)
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.write(f"{FAULTS}\n")
                process.stdin.flush()

    def progress(self) -> str:
        """Return how many there are."""
        return f"{len(self._processes)} apps"

    def finish(self, timeout_s: float) -> list[Finding]:
        """Let each deliver what it has and end.

        Raises:
            ValueError: If one gives no report; with its name.
            subprocess.TimeoutExpired: If one does not end.
        """

        def report(key: str) -> Report:
            process = self._processes[key]
            output, _ = process.communicate(f"{LAST_PHASE}\n", CLOSE_TIMEOUT_S + timeout_s)
            if process.returncode != 0:
                raise ValueError(f"the app {key} has ended with {process.returncode}")
            return msgspec.json.decode(output, type=Report)

        # Together: each may take as long as its client needs to deliver.
        with ThreadPoolExecutor(len(self._processes)) as pool:
            self._reports = list(pool.map(report, self._processes))
        return []

    def leave(self) -> None:
        """Leave nothing of them."""
        for process in self._processes.values():
            process.kill()
            process.communicate()

    def check(self, system: ChaosSystem, say: Say) -> Iterator[Finding]:
        """Yield what is not counted once, who dropped wrongly, and whether ``record`` waited."""
        for difference in differences(self._reports, system.query.get):
            yield Finding(difference)
        for spec, report in zip(self._specs, self._reports, strict=True):
            if (report.dropped > 0) != spec.must_drop:
                room = f"with room for {spec.max_buffered}"
                yield Finding(f"{spec.key}: dropped {report.dropped} {room}")
        phases = {
            phase: Quantiles.of(
                chain.from_iterable(each.record_ns[phase] for each in self._reports)
            )
            for phase in (FIRST_CALL, CALM, FAULTS)
        }
        say(_table(phases))
        if (p999 := phases[FAULTS].p999) >= BLOCKED_NS:
            yield Finding(
                f"record took {shown(p999)} in one of a thousand calls: it waits for something"
            )

    def numbers(self) -> Mapping[str, int]:
        """Return how many values were recorded, and how many of these dropped."""
        return {
            "recorded": sum(report.recorded for report in self._reports),
            "dropped": sum(report.dropped for report in self._reports),
        }


def _table(phases: Mapping[str, Quantiles]) -> str:
    """Return how long ``record`` took in each phase."""
    rows = [
        (phase, each.count, *map(shown, (each.p50, each.p99, each.p999, each.max)))
        for phase, each in phases.items()
    ]
    calm, faults = phases[CALM], phases[FAULTS]
    ratios = (faults.p50 / calm.p50, faults.p99 / calm.p99, faults.p999 / calm.p999)
    rows.append(("ratio", 0, *(f"{ratio:.2f}" for ratio in ratios), ""))
    return tabulate(rows, ("record", "calls", "p50", "p99", "p99.9", "max"))
