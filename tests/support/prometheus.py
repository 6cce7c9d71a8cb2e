"""A real Prometheus, for the tests of what it scrapes and evaluates."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from ops.local.ports import free_port
from ops.local.redis_server import end_with_parent
from ops.local.waiting import wait_until

START_TIMEOUT_S = 60.0

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="NOT TESTED: there is no Prometheus here (apt-get install prometheus)",
)


def promtool(*arguments: str, content: bytes = b"") -> str:
    """Run promtool, see that it finds nothing wrong, and return what it says."""
    done = subprocess.run(["promtool", *arguments], input=content, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


class Prometheus:
    """A Prometheus with its data in a folder.

    Args:
        config: Its configuration file.
        folder: Where its data and its log lie.
    """

    def __init__(self, config: Path, folder: Path) -> None:
        self._port = free_port()
        self._log = folder / "prometheus.log"
        self._command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, preexec_fn=end_with_parent
            )
        wait_until(self._is_ready, START_TIMEOUT_S, "Prometheus answers")
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the data of an answer of its API."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                found: dict[str, Any] = json.load(response)["data"]
                return found
        except urllib.error.HTTPError as error:
            pytest.fail(f"{parameters}: {error.read().decode()}")

    def query(self, expression: str) -> list[Any]:
        """Return what an expression finds now: each with its labels and its value."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus has ended: {self._log.read_text('utf-8')}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=60):
                return True
        except OSError:
            return False
