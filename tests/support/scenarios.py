"""Scripts in ``tests/client/apps`` run as processes of their own, each with several scenarios."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import monotonic

from ops.lab.service import ROOT

HANG_S = 60.0
"""Whatever takes so long hangs, and is killed; on a busy machine as well."""

WARNINGS = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
"""Python 3.12 and later warn whoever forks beside a thread: whether that is safe is tested here."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process.

    Attributes:
        status: Its exit status; negative for the signal that ended it.
        printed: To its standard output.
        complaints: To its standard error.
        seconds: How long it ran.
    """

    status: int
    printed: str
    complaints: str
    seconds: float


class Running:
    """A process that runs a scenario."""

    def __init__(self, script: str, arguments: tuple[str, ...], python: str) -> None:
        """Start the process, in which warnings are errors."""
        self._began = monotonic()
        self.process = subprocess.Popen(
            [python, *WARNINGS, Path(__file__).parents[1] / "client" / "apps" / script, *arguments],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._end_of_patience = Timer(HANG_S, self._kill_all)
        self._end_of_patience.daemon = True
        self._end_of_patience.start()

    def go_on(self) -> None:
        """Let it go on where it waits for a line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def heard(self) -> str:
        """Wait for the next line that it prints, and return it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> Ended:
        """Wait for its end."""
        printed, complaints = self.process.communicate()
        return Ended(self.process.returncode, printed, complaints, monotonic() - self._began)

    def kill(self) -> None:
        """End the process at once if it still runs."""
        self._end_of_patience.cancel()
        self._kill_all()
        self.process.communicate()

    def _kill_all(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def running(script: str, *arguments: str, python: str = sys.executable) -> Iterator[Running]:
    """Start a script with its arguments, and end it in any case."""
    started = Running(script, arguments, python)
    try:
        yield started
    finally:
        started.kill()


def run(script: str, *arguments: str, python: str = sys.executable) -> Ended:
    """Run a script with its arguments to its end, and check that it succeeds and says nothing."""
    with running(script, *arguments, python=python) as started:
        ended = started.end()
    # Not rewritten by pytest, as this is no test: so it says itself what it found.
    assert (ended.status, ended.complaints) == (0, ""), f"{ended.status}: {ended.complaints}"
    return ended
