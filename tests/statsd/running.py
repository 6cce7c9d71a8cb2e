"""An agent as a process, with free ports."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.local.waiting import wait_until

_PORTS = re.compile(r"udp 127\.0\.0\.1:(\d+).*http://127\.0\.0\.1:(\d+)/metrics")


@dataclass(frozen=True)
class Running:
    """A process of ``python -m metrics statsd``.

    Attributes:
        process: The process.
        port: Of UDP.
        http_port: Of its health.
        log: What it writes to.
    """

    process: subprocess.Popen[bytes]
    port: int
    http_port: int
    log: Path

    def end(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def command(*options: str) -> list[str]:
    """Return the command that runs an agent on free ports."""
    ports = ("--port", "0", "--http-port", "0")
    return [sys.executable, "-m", "metrics", "statsd", *ports, *options]


@contextmanager
def running(folder: Path, collectors: str, *options: str) -> Iterator[Running]:
    """Run an agent until the end of the block."""
    log = folder / "agent.log"
    environ = {"METRICS_COLLECTORS": collectors, "METRICS_KEY": "agent"}
    with (
        log.open("wb") as written,
        subprocess.Popen(command(*options), env=environ, stderr=written) as process,
    ):
        try:
            found = wait_until(
                lambda: process.poll() is not None or _PORTS.search(log.read_text("utf-8"))
            )
            assert isinstance(found, re.Match), log.read_text("utf-8")
            yield Running(process, int(found[1]), int(found[2]), log)
        finally:
            process.kill()
