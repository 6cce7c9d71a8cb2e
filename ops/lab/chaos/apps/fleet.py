"""The processes of all apps, told together which phase of the run begins."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ops.lab.chaos.apps.app import BEGUN, CLOSE_TIMEOUT_S, LAST_PHASE
from ops.lab.chaos.apps.report import Report
from ops.lab.service import ROOT
from ops.local.redis_server import end_with_parent

END_TIMEOUT_S = CLOSE_TIMEOUT_S + 10.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What an app is like.

    Attributes:
        key: Its key, and its name in messages.
        rate: Values a second.
        max_buffered: Values that may wait in its client.
        must_drop: Whether these are too few for what happens in the run.
    """

    key: str
    rate: float
    max_buffered: int
    must_drop: bool = False


class Fleet:
    """App processes, from their start to their reports.

    Args:
        kinds: One for each.
        collectors: URLs, any of which will do.
        log: The file to which they write what goes wrong.
        source: A folder whose packages they use instead of ours, if there is one.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        collectors: Sequence[str],
        log: Path,
        *,
        source: Path | None = None,
    ) -> None:
        environ = {**os.environ, "METRICS_COLLECTORS": ",".join(collectors)}
        if source is not None:
            environ["PYTHONPATH"] = str(source)
        with log.open("ab") as file:
            self._processes = {
                kind.key: subprocess.Popen(
                    [
                        *(sys.executable, "-m", "ops.lab.chaos.apps.app"),
                        *(kind.key, str(kind.rate), str(kind.max_buffered)),
                    ],
                    cwd=ROOT,
                    env=environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                    preexec_fn=end_with_parent,
                )
                for kind in kinds
            }

    def wait_until_begun(self) -> None:
        """Wait until each has recorded its first value.

        Raises:
            ValueError: If one has ended instead; with its name.
        """
        for key, process in self._processes.items():
            if process.stdout is None or process.stdout.readline().strip() != BEGUN:
                raise ValueError(f"the app {key} has not begun")

    def enter(self, phase: str) -> None:
        """Tell all of them which phase begins.

        Raises:
            OSError: If one is there no more.
        """
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.write(f"{phase}\n")
                process.stdin.flush()

    def close(self) -> list[Report]:
        """Let each deliver what it has and end; return their reports.

        Raises:
            ValueError: If one gives none; with its name.
            subprocess.TimeoutExpired: If one does not end.
        """
        # Together: each may take as long as its client needs to deliver.
        with ThreadPoolExecutor(len(self._processes)) as pool:
            return list(pool.map(_report, self._processes, self._processes.values()))

    def kill(self) -> None:
        """Leave nothing of them."""
        for process in self._processes.values():
            process.kill()
            process.communicate()


def _report(key: str, process: "subprocess.Popen[str]") -> Report:
    output, _ = process.communicate(f"{LAST_PHASE}\n", END_TIMEOUT_S)
    if process.returncode != 0:
        raise ValueError(f"the app {key} has ended with {process.returncode}")
    return Report.read(output)
