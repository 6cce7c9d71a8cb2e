"""The Procfile's lines run as a platform starts them: with next to no environment."""

import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.lab.service import ROOT, Service, procfile
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until

HEROKU = sorted((ROOT / "ops" / "deploy" / "heroku").glob("*/Procfile"))
PREFIX = re.compile(r'exec (env REDIS_URL="[^"]*") (.*)')
BODY = b'[["checkout.web-1",98.1],["checkout.web-1",104.2]]'
HEAD = (
    b"POST /messages HTTP/1.1\r\nHost: metrics\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)


class Alone(Service):
    """A process with PATH, PORT and REDIS_URL, and not one variable more."""

    def __init__(self, name: str, redis_url: str, log: Path) -> None:
        super().__init__(name, redis_url, log)
        del self._environ["METRICS_HOST"]
        assert set(self._environ) == {"PATH", "PORT", "REDIS_URL"}

    def terminate_all(self) -> None:
        """Send SIGTERM to each of its processes at once, as to all of a dyno's."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGTERM)

    @property
    def is_listening(self) -> bool:
        """Return whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def alone(own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[dict[str, Alone]]:
    """Yield each line of the Procfile, started at the same time."""
    services = {name: Alone(name, own_redis.url, tmp_path / f"{name}.log") for name in procfile()}
    for service in services.values():
        service.launch()
    yield services
    for service in services.values():
        service.kill()


def test_each_line_runs_alone_and_ends_well(alone: dict[str, Alone]) -> None:
    """Each line runs with PATH, PORT and REDIS_URL alone, and two SIGTERMs cut no request off."""
    for service in alone.values():
        wait_until(service.is_alive)
        assert service.get("/readyz").status == 200
    collector = alone["collector"]
    with socket.create_connection(("127.0.0.1", collector.port), timeout=60) as connection:
        connection.sendall(HEAD + BODY[:20])
        for service in alone.values():
            service.terminate_all()
            service.terminate_all()
        wait_until(lambda: not collector.is_listening)
        connection.sendall(BODY[20:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()

        assert answer.status == 202
        assert answer.read() == b'{"accepted":2,"rejected":0}'
    for service in alone.values():
        assert service.wait() == 0
        assert "Traceback" not in service.log.read_text("utf-8")


def heroku_lines() -> dict[str, str]:
    """Return the lines of Heroku's Procfiles, by app and process."""
    return {
        f"{path.parent.name} {name}": line.strip()
        for path in HEROKU
        for name, _, line in (each.partition(":") for each in path.read_text("utf-8").splitlines())
    }


def test_heroku_runs_the_lines_of_the_procfile() -> None:
    """Heroku's Procfiles run the lines of the Procfile under the names that Heroku uses."""
    lines = {name: f"exec {PREFIX.fullmatch(line)[2]}" for name, line in heroku_lines().items()}

    assert lines == {
        "collector web": procfile()["collector"],
        "collector worker": procfile()["worker"],
        "query web": procfile()["query"],
    }


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "rediss://:secret@redis:6380?ssl_cert_reqs=none"),
        ({"REDIS_URL_OPTIONS": ""}, "rediss://:secret@redis:6380"),
    ],
)
def test_heroku_lines_take_a_certificate_that_nobody_signed(
    options: dict[str, str], url: str
) -> None:
    """Heroku's lines switch off certificate checks, unless REDIS_URL_OPTIONS says otherwise."""
    for line in heroku_lines().values():
        told = subprocess.run(
            ["/bin/sh", "-c", f"exec {PREFIX.fullmatch(line)[1]} printenv REDIS_URL"],
            env={"PATH": os.environ["PATH"], "REDIS_URL": "rediss://:secret@redis:6380", **options},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == url
