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
from time import time

from ops.lab.bench.ingest.bodies import Form
from ops.lab.bench.ingest.workload import Workload, write_files

SCRIPT = Path(__file__).with_name("load.lua")
SINCE_S = 86_400
"""How long ago the messages of databases begin: faster than the clock, they must not pass it."""

_RESULT = "RESULT "


@dataclass(frozen=True, slots=True)
class Load:
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
    def parse(cls, printed: str, cpu_s: float) -> "Load":
        """Read what the script prints at its end.

        Raises:
            ValueError: If it does not; with what wrk has printed.
        """
        lines = [line for line in printed.splitlines() if line.startswith(_RESULT)]
        if not lines:
            raise ValueError(f"wrk has no result: {printed}")
        told = json.loads(lines[-1].removeprefix(_RESULT))
        return cls(
            requests=told["requests"],
            seconds=told["us"] / 1e6,
            p50_us=told["p50_us"],
            p99_us=told["p99_us"],
            errors=told["refused"] + told["broken"],
            cpu_s=cpu_s,
        )


def is_installed() -> bool:
    """Return whether there is a wrk."""
    return shutil.which("wrk") is not None


def load(port: int, workload: Workload, form: Form, seconds: float, folder: Path) -> Load:
    """Send a workload for some seconds, as fast as it is answered.

    Args:
        port: Of 127.0.0.1.
        workload: What to send.
        form: How to write it.
        seconds: How long.
        folder: Where the bodies are put, in a folder of their own.
    """
    bodies = workload.bodies(form)
    files = write_files(bodies, folder)
    since_ms = int((time() - SINCE_S) * 1000)
    before = _cpu_of_children()
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{workload.connections}", f"-d{seconds:.0f}", "--timeout", "10s"),
            *("-s", SCRIPT, f"http://127.0.0.1:{port}", "--", files, str(len(bodies))),
            *(form.path, form.content_type, str(since_ms)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(files)
    return Load.parse(done.stdout + done.stderr, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
