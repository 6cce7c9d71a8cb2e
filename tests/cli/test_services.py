"""The command line beside real services: what docs/cli.md shows, and what befalls a pipeline."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time

import pytest
from click.testing import CliRunner, Result

from metrics.cli.command_line import command_line
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from ops.lab.service import ROOT, Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until
from tests.support.runbook import fits

pytestmark = pytest.mark.usefixtures("early_in_the_hour")

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh cli\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TOKEN = "a-token"  # noqa: S105  (of these tests)
PARTITIONS = range(16)

FILES = {
    "access.log": '[{clf} +0000] "GET / HTTP/1.1" 200 0.120\n[{clf} +0000] "GET /" 200 0.080\n',
    "haproxy.log": "started\n[{clf}.001] front back/web-1 0/0/1/2/31 200 512 - - ----\n",
    "router.log": "{iso}Z heroku[router]: at=info dyno=web.1 service=22ms\n{iso}Z app[web.1]: hi\n",
}
"""What the page imports."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """Yield a Redis for all tests of this file."""
    folder = tmp_path_factory.mktemp("redis")
    server = EmbeddedRedis(find_server(), port=free_port(), folder=folder).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def connection(redis: EmbeddedRedis) -> Iterator[Connection]:
    """Yield a way to it past the services."""
    connection = Connection.open(redis.url, timeout_s=5.0, connections_max=2)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def services(
    redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Service]]:
    """Yield a collector, a query service and a worker, which ask for tokens."""
    folder = tmp_path_factory.mktemp("logs")
    tokens = {"METRICS_WRITE_TOKENS": TOKEN, "METRICS_READ_TOKENS": TOKEN}
    services = {
        name: Service(
            name, redis.url, folder / f"{name}.log", **tokens, METRICS_CLAIM_SECONDS="0.1"
        ).launch()
        for name in ("collector", "query", "worker")
    }
    for service in services.values():
        service.wait_until_ready(60)
    yield services
    for service in services.values():
        service.kill()


@pytest.fixture
def environ(
    services: dict[str, Service],
    redis: EmbeddedRedis,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Set the environment of somebody who uses the services, in a folder of their own."""
    for name in (name for name in os.environ if name.startswith("METRICS_")):
        monkeypatch.delenv(name)
    monkeypatch.setenv("METRICS_COLLECTOR_URL", f"http://127.0.0.1:{services['collector'].port}")
    monkeypatch.setenv("METRICS_QUERY_URL", f"http://127.0.0.1:{services['query'].port}")
    monkeypatch.setenv("METRICS_TOKEN", TOKEN)
    monkeypatch.setenv("REDIS_URL", redis.url)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def drained(environ: None, connection: Connection) -> Callable[[], None]:
    """Return what waits until all that was accepted is counted."""

    def wait() -> None:
        streams = [command("XLEN", PartitionNames(number).stream) for number in PARTITIONS]
        wait_until(lambda: not any(connection.execute(streams)), 30)

    return wait


def run(line: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(command_line, shlex.split(line))


def pasted(line: str) -> str:
    """Return what a line prints; one without shell syntax is run in this process."""
    words = line.removeprefix("python -m metrics ")
    if words != line and not set("|$<>;&") & set(re.sub(r"'[^']*'", "", line)):
        return run(words).output
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_what_the_page_shows_is_what_is_printed(drained: Callable[[], None]) -> None:
    """Every pasted line of the page prints what the page shows, one after the other."""
    at = datetime.fromtimestamp(Hour.of(time()).start + 1, UTC)
    clf, iso = at.strftime("%d/%b/%Y:%H:%M:%S"), at.strftime("%Y-%m-%dT%H:%M:%S")
    for name, text in FILES.items():
        Path(name).write_text(text.format(clf=clf, iso=iso))

    assert len(BLOCKS) > 8
    for commands, shown in BLOCKS:
        printed = "".join(map(pasted, commands.splitlines()))
        assert fits(shown, printed), printed
        drained()


def test_readme_times_a_shell_command(
    drained: Callable[[], None], services: dict[str, Service]
) -> None:
    """The three lines of README send how long a command takes, and answer its median."""
    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    for name, port in (("collector", 8000), ("query", 8100)):
        block = block.replace(f"localhost:{port}", f"127.0.0.1:{services[name].port}")
    time_it, post, get = block.replace("time make", "time sleep 0.1").splitlines()
    curl = f'curl() {{ command curl -sS -H "Authorization: Bearer {TOKEN}" "$@"; }}'

    def bash(*lines: str) -> str:
        return subprocess.run(
            ["bash", "-c", "\n".join([curl, *lines])], capture_output=True, text=True, check=True
        ).stdout

    assert '"accepted":1,"rejected":0' in bash(time_it, post)
    drained()
    answer = json.loads(bash(get))
    assert 0.1 <= answer["whole"]["value"] < 60


def test_dead_letters_are_seen_mended_and_retried(
    drained: Callable[[], None], connection: Connection
) -> None:
    """A hash that somebody spoilt makes dead letters; mended and retried, their messages count."""
    key, hour = "spoilt.web-1", Hour.of(time())
    names = PartitionNames(partition_of(key, len(PARTITIONS)))
    connection.ask(command("SET", names.hour(key_hour(key, hour)), "\x1b[31mby hand"))
    assert run(f"send {key} 1 2 3").exit_code == 0
    drained()

    status = run("status")
    listed = run("dead list")
    (letter,) = map(json.loads, run("dead list --json").output.splitlines())

    assert status.exit_code == 1
    assert "unhealthy: 1 dead letters" in status.output
    assert letter["reason"] in listed.output
    assert letter["fields"] == [[key_hour(key, hour), "1.0,2.0,3.0"]]
    missing = run(f"dead retry {letter['name']}1")
    assert missing.exit_code == 1
    connection.ask(command("DEL", names.hour(key_hour(key, hour))))
    assert run(f"dead retry {letter['name']}").output == "1 retried\n"
    drained()
    assert json.loads(run(f"query {key} count today now --json").output)["value"] == 3
    assert run("status").exit_code == 0


def test_what_is_hostile_in_a_dead_letter_does_nothing_to_a_terminal(
    environ: None, connection: Connection
) -> None:
    """What anybody wrote into Redis is shown without what a terminal or rich would obey."""
    dead = PartitionNames(3).dead
    connection.ask(command("XADD", dead, "*", "id", "1-1", "reason", "\x1b[2J[red]\n", "f", "\x07"))
    output = run("dead list").output

    assert "\x1b" not in output
    assert "\x07" not in output
    assert r"\x1b[2J[red]\n" in output
    assert run("dead drop --all --yes").output == "1 dropped\n"
    assert run("dead list").output == "no dead letters\n"


def test_a_pipeline_without_a_worker_is_unhealthy(
    drained: Callable[[], None], services: dict[str, Service]
) -> None:
    """What waits for longer than it may is unhealthy, and with a worker it is well again."""
    services["worker"].kill()
    run("send lonely.web-1 1")
    wait_until(lambda: run("status --age-max 0.2").exit_code == 1, 30)
    unhealthy = json.loads(run("status --age-max 0.2 --json").output)
    services["worker"].launch()

    assert unhealthy["healthy"] is False
    assert unhealthy["backlog"] == 1
    assert "is a worker running?" in unhealthy["problems"][0]
    drained()
    assert run("status --age-max 0.2").exit_code == 0


def test_an_empty_redis_is_unhealthy(environ: None, redis: EmbeddedRedis) -> None:
    """A Redis where nothing has begun is unhealthy, and a look leaves nothing there."""
    elsewhere = CliRunner(env={"REDIS_URL": f"{redis.url}/1"})
    result = elsewhere.invoke(command_line, ["status"])

    assert result.exit_code == 1
    assert "metrics:layout" in result.output
    connection = Connection.open(f"{redis.url}/1", timeout_s=5.0, connections_max=1)
    assert connection.ask(command("DBSIZE")) == 0
    connection.close()


def test_a_wrong_token_is_said(environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is not right names where it comes from, and is not shown."""
    monkeypatch.setenv("METRICS_TOKEN", "not-this-one")
    for line in ("query checkout.web-1", "keys", "send a 1"):
        result = run(line)
        assert result.exit_code == 2
        assert "METRICS_TOKEN" in result.output
        assert "not-this-one" not in result.output
