"""The processes of the Procfile, started for real."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.conftest import free_port, wait_until

ROOT = Path(__file__).parent.parent
STOP_TIMEOUT_S = 25.0
"""What Heroku gives a process between SIGTERM and SIGKILL, less a little."""


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


def procfile() -> dict[str, str]:
    """Return the commands of the Procfile by name."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


class Service:
    """One process of the Procfile, with nothing but PORT, REDIS_URL and what a test adds."""

    def __init__(self, name: str, redis_url: str, log: Path, **environ: str) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        self._environ = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "METRICS_HOST": "127.0.0.1",
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> Self:
        """Start it, and do not wait."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", procfile()[self.name]],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        self.launch()
        wait_until(self.is_alive, 20)
        return self

    def is_alive(self) -> bool:
        """Tell whether it answers; fail if it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text("utf-8")
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

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
        self, method: str, path: str, body: str | bytes | None, headers: dict[str, str]
    ) -> Answer:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def wait(self) -> int:
        """Wait for its end, and return its status."""
        assert self.process is not None
        return self.process.wait(STOP_TIMEOUT_S)

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
