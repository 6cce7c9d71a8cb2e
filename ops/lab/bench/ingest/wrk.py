"""The load: wrk, which sends as much as the other side takes.

Source:
    https://github.com/wg/wrk, SCRIPTING.
"""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Self

from ops.lab.bench.ingest.workload import Form, Workload

SCRIPT = Path(__file__).with_name("load.lua")
SINCE_S = 86_400
"""How long ago the messages of databases begin: faster than the clock, they must not pass it."""

_RESULT = "RESULT "


@dataclass(frozen=True, slots=True)
class WrkResult:
    """What wrk saw.

    Attributes:
        requests: That were answered.
        seconds: That it took.
        p50_us: Median of a POST, in microseconds.
        p99_us: Of a hundred POSTs the slowest is about as slow.
        errors: Answers that were no success, connections that broke, time-outs.
        cpu_s: Of wrk itself.
    """

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int
    cpu_s: float

    @classmethod
    def parse(cls, printed: str, cpu_s: float) -> Self:
        """Read what the script prints at its end.

        Raises:
            ValueError: If it does not; with what wrk has printed.
        """
        lines = [line for line in printed.splitlines() if line.startswith(_RESULT)]
        if not lines:
            raise ValueError(f"wrk has no result: {printed}")
        members = json.loads(lines[-1].removeprefix(_RESULT))
        errors = members.pop("refused") + members.pop("broken")
        return cls(seconds=members.pop("us") / 1e6, errors=errors, cpu_s=cpu_s, **members)


def is_installed() -> bool:
    """Return whether there is a wrk."""
    return shutil.which("wrk") is not None


def send(port: int, workload: Workload, form: Form, seconds: float) -> WrkResult:
    """Send a workload for some seconds, as fast as it is answered.

    Args:
        port: Of 127.0.0.1.
        workload: What to send.
        form: How to write it.
        seconds: How long.
    """
    bodies = workload.bodies(form)
    since_ms = int((time() - SINCE_S) * 1000)
    with TemporaryDirectory(prefix="bench-") as folder:
        for number, body in enumerate(bodies):
            Path(folder, str(number)).write_text(body, "utf-8")
        before = _cpu_of_children()
        done = subprocess.run(
            [
                *("wrk", "-t1", f"-c{workload.connections}", f"-d{seconds:.0f}"),
                *("--timeout", "10s", "-s", SCRIPT, f"http://127.0.0.1:{port}", "--", folder),
                *(str(len(bodies)), form.path, form.content_type, str(since_ms)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    return WrkResult.parse(done.stdout + done.stderr, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
