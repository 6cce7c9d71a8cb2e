"""The processes of the Procfile, started for real and one by one, to be used and broken."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ops.local.ports import free_port
from ops.local.redis_server import end_with_parent
from ops.local.waiting import wait_until

ROOT = Path(__file__).parents[2]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0
"""What Heroku gives a process between SIGTERM and SIGKILL, less a little."""

ANSWER_TIMEOUT_S = 60.0


def procfile() -> dict[str, str]:
    """Return the commands of the Procfile by name."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        """The body, decoded."""
        return json.loads(self.body)


class Service:
    """One process of the Procfile, with nothing but PORT, REDIS_URL and what is added.

    Args:
        name: Its name in the Procfile.
        redis_url: What it gets as ``REDIS_URL``.
        log: The file that it writes to, at its end.
        command: What to start instead of the line of the Procfile.
        health: The path that answers once it is up.
        environ: More variables.
    """

    def __init__(
        self,
        name: str,
        redis_url: str,
        log: Path,
        *,
        command: str = "",
        health: str = "/healthz",
        **environ: str,
    ) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        self._command = command or procfile()[name]
        self._health = health
        self._environ = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "METRICS_HOST": "127.0.0.1",
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> Self:
        """Start it, and do not wait. It ends with the thread that calls this."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", self._command],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        return self

    def start(self) -> Self:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: If it ends instead.
            TimeoutError: If it does not answer.
        """
        self.launch()
        wait_until(self.is_alive, START_TIMEOUT_S, f"{self.label} answers")
        return self

    @property
    def label(self) -> str:
        """How to tell it from others of its name: its log file is called so."""
        return self.log.stem

    @property
    def pid(self) -> int:
        """Its process id, once it was started."""
        return self._started.pid

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until it reaches Redis.

        Raises:
            RuntimeError: If it ends instead.
            TimeoutError: If it does not reach it.
        """
        wait_until(lambda: self._is_well("/readyz"), timeout_s, f"{self.label} reaches Redis")

    def is_alive(self) -> bool:
        """Return whether it answers.

        Raises:
            RuntimeError: If it has ended; with what it logged.
        """
        return self._is_well(self._health)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._started.poll() is not None

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path."""
        return self.request("GET", path, None, headers)

    def post(self, body: str | bytes, **headers: str) -> Answer:
        """POST messages as JSON, or as the headers say."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(
            "POST", "/messages", body, {"Content-Type": "application/json", **named}
        )

    def request(
        self, method: str, path: str, body: str | bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._started.pid, number)

    def wait(self) -> int:
        """Wait for its end, and return its status."""
        return self._started.wait(STOP_TIMEOUT_S)

    def stop(self) -> int:
        """End it, and return its status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Leave nothing of it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _is_well(self, path: str) -> bool:
        if self.has_ended:
            raise RuntimeError(f"{self.label} has ended: {self.log.read_text('utf-8')}")
        try:
            return self.get(path).status // 100 == 2
        except (OSError, http.client.HTTPException):
            return False

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError(f"{self.label} was not started")
        return self.process
