"""``ops/run``, as somebody starts it who has just cloned the repository."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ops.lab.service import ROOT
from ops.local.ports import free_port
from ops.local.run import REDIS_OFFSET, SERVICES
from ops.local.waiting import wait_until

INSTALL_TIMEOUT_S = 600.0
START_TIMEOUT_S = 60.0


def environ(**more: str) -> dict[str, str]:
    """Return the environment of somebody who has just cloned the repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"METRICS_|REDIS_URL|PORT$|PYTHON|VIRTUAL_ENV|PYTEST", name)
    }
    here = str(ROOT / ".venv" / "bin")
    path = [folder for folder in kept["PATH"].split(os.pathsep) if folder != here]
    return {**kept, "PATH": os.pathsep.join(path), **more}


def free_base_port() -> int:
    """Return a port that is free together with all that ops/run derives from it."""
    return free_port(*SERVICES.values(), REDIS_OFFSET)


class Run:
    """A run of ``ops/run``.

    Attributes:
        root: The folder of the repository.
        data: That of its data, if it was told one.
        port: Its base port.
    """

    def __init__(self, root: Path, **more: str) -> None:
        self.root = root
        self.data = Path(more.get("METRICS_DATA_DIR", ""))
        self.port = int(more.setdefault("PORT", str(free_base_port())))
        self._log = tempfile.NamedTemporaryFile(mode="w+")  # noqa: SIM115  (closed in kill)
        self.process = subprocess.Popen(
            [root / "ops" / "run"],
            cwd=root.parent,
            env=environ(**more),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return Path(self._log.name).read_text("utf-8")

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Wait for the lines that it prints when all is up, and return them."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.output
            return "metrics is ready" in self.output and "Stop with Ctrl-C" in self.output

        wait_until(is_ready, timeout_s)
        return self.output[self.output.index("metrics is ready") :]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, and return its status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def end(self) -> str:
        """Wait until it ends by itself, and return what it has printed."""
        assert self.process.wait(60) == 2
        return self.output

    def kill(self) -> None:
        """Stop the run if it has not ended, and close its log."""
        if self.process.poll() is None:
            self.stop()
        self._log.close()


def installed_in(root: Path) -> None:
    """Make an ``ops/run`` in a folder that installs nothing: it runs in the tests' environment."""
    (root / "ops").mkdir()
    start = root / "ops" / "run"
    start.write_text(f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m ops.local.run\n", "utf-8")
    start.chmod(0o755)


def curl(*arguments: str) -> str:
    """Return what curl prints."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def processes_in(root: Path) -> list[str]:
    """Return the processes whose command or folder names a folder, in the order of commands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = [
                (process / "cmdline").read_bytes().decode(errors="replace"),
                str((process / "cwd").readlink()),
            ]
        except OSError:
            continue
        if any(str(root) in text for text in told):
            found.append(told[0].replace("\0", " "))
    return sorted(found)


def shell(line: str) -> str:
    """Return what a line prints that is pasted into a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=True, env=environ()
    ).stdout


def last_line(output: str) -> str:
    """Return the last line, and check that there is no traceback above it."""
    assert "Traceback" not in output
    return output.strip().splitlines()[-1]


def is_worker_of(process: Path, port: int) -> bool:
    """Return whether a process is the worker with that port."""
    try:
        return (
            b"\0workers\0" in (process / "cmdline").read_bytes()
            and f"PORT={port}\0".encode() in (process / "environ").read_bytes()
        )
    except OSError:
        return False
