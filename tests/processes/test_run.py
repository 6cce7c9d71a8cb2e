"""``ops/run`` as a new user sees it: a clean clone, curl, redis-cli, Ctrl-C."""

import math
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from metrics.connection import Connection
from metrics.settings import Settings
from ops.lab.service import ROOT
from ops.local import run as launch
from ops.local.ports import free_port, is_free
from ops.local.redis_server import EmbeddedRedis
from ops.local.run import REDIS_OFFSET, SERVICES
from ops.local.waiting import wait_until
from tests.conftest import SERVERS
from tests.support.runs import (
    INSTALL_TIMEOUT_S,
    Run,
    curl,
    environ,
    free_base_port,
    is_worker_of,
    last_line,
    processes_in,
    shell,
)
from tests.support.streams import hash_of

pytestmark = pytest.mark.usefixtures("early_in_the_hour")

PAGES = ("README.md", "docs/http.md", "docs/redis.md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the repository's files and nothing else, as ``git clone`` gives them."""
    root = tmp_path_factory.mktemp("clone") / "metrics"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    return root


@pytest.fixture(scope="module")
def old_redis(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH whose redis-server is too old, so that the carried one is taken."""
    folder = tmp_path_factory.mktemp("old")
    server = folder / "redis-server"
    server.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=00000000:0'\n", "utf-8")
    server.chmod(0o755)
    return f"{folder}{os.pathsep}{environ()['PATH']}"


@pytest.fixture(scope="module")
def running(clone: Path, old_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Yield the first start of the clone, which has made ``.venv``, with everything up."""
    data = tmp_path_factory.mktemp("first") / "data"
    run = Run(clone, PATH=old_redis, METRICS_DATA_DIR=str(data))
    try:
        run.wait_until_ready(INSTALL_TIMEOUT_S)
        yield run
    finally:
        run.kill()


@pytest.fixture
def installed(running: Run) -> Path:
    """Return the clone after its first start."""
    return running.root


@pytest.fixture
def beside(installed: Path) -> list[str]:
    """Return the processes of the first start, before a test starts more."""
    return processes_in(installed)


@pytest.fixture
def another(installed: Path, beside: list[str], old_redis: str, tmp_path: Path) -> Iterator[Run]:
    """Yield a run that a test may break, with everything up; what is ``beside`` is none of it."""
    run = Run(installed, PATH=old_redis, METRICS_DATA_DIR=str(tmp_path / "data"))
    try:
        run.wait_until_ready()
        yield run
    finally:
        run.kill()


def test_the_lines_that_it_prints_work_as_pasted(another: Run) -> None:
    """The curl and redis-cli lines of ops/run and the collector's ``GET /`` work as pasted."""
    welcome = another.wait_until_ready()
    post, get = re.findall(r"^  (curl .*)$", welcome, re.MULTILINE)
    redis_cli = re.search(r"^Redis: (.*)\. Stop", welcome, re.MULTILINE)[1]

    def count() -> int:
        found = re.search(r'"count":(\d+)', shell(get))
        return int(found[1]) if found else 0

    before = count()
    assert shell(post) == '{"accepted":1,"rejected":0}'
    wait_until(lambda: count() == before + 1)
    assert '"key":"checkout.web-1","stat":"median"' in shell(get)
    assert "metrics:layout" in shell(f"{redis_cli} keys 'metrics:layout'")
    an_hour_later = "date() { [ \"$*\" = '-u +%F/%H' ] && echo 2026-11-28/00; }"
    asked = shell(f'{an_hour_later}; curl() {{ echo "$@"; }}; {get}')
    assert asked.endswith("/checkout.web-1/median/2026-11-28/00\n")
    page = curl(f"localhost:{another.port}/")
    *posts, get, _ = re.findall(r"^  ((?:curl|printf) .*)$", page, re.MULTILINE)
    assert [line for line in posts if '"rejected":0' not in shell(line)] == []
    assert len(posts) == 4
    wait_until(lambda: count() == before + 5)
    assert "reset by peer" not in another.output


def test_the_lines_of_the_pages_work_as_pasted(running: Run) -> None:
    """The curl and redis-cli lines of README and the reference do what the pages say."""
    text = "".join((ROOT / page).read_text("utf-8") for page in PAGES)
    redis_cli = re.search(r"^Redis: (.*) -p ", running.wait_until_ready(), re.MULTILINE)[1]
    lines = re.findall(r"^(?:curl|redis-cli) .*$", text, re.MULTILINE)
    posts = [line for line in lines if "/messages" in line and "$took" not in line]
    gets = [line for line in lines if re.search(r"^(?!.*(\.svg|DELETE)).*:8100/checkout", line)]
    deletions = [line for line in lines if "DELETE" in line]
    drawings = [line for line in lines if ".svg" in line]
    pages = [line for line in lines if ":8100/keys" in line]
    audit = [line for line in lines if "/audit" in line or "/metrics" in line]
    looks = [line for line in lines if line.startswith("redis-cli")]

    def run(line: str) -> str:
        for documented in (8000, 8100, 8200, 8300):
            line = re.sub(rf"\b{documented}\b", str(documented - 8000 + running.port), line)
        return shell(re.sub(r"^redis-cli", redis_cli, line))

    assert len(posts) >= 11
    for line in posts:
        assert '"rejected":0' in run(line), line
    assert len(gets) >= 5
    wait_until(lambda: all("count" in run(line) or "whole" in run(line) for line in gets))
    (deletion,) = deletions
    assert "METRICS_WRITE_TOKENS has none" in run(deletion)
    (drawing,) = drawings
    assert run(drawing).startswith("<svg")
    assert len(pages) == 2
    for line in pages:
        assert '"newest_hour":' in run(line), line
    assert len(audit) == 3
    for line in audit:
        assert '"balance":true' in run(line) or "metrics_worker_commits_total" in run(line), line
    assert len(looks) == 2
    for line in looks:
        assert "partitions" in run(line) or "metrics:layout" in run(line), line


def test_every_form_of_a_body_is_counted_and_every_statistic_is_right(running: Run) -> None:
    """Messages in every form of a body count, and every statistic equals Python's own."""
    seeded = random.Random(7)
    values = [round(seeded.lognormvariate(4, 1), 3) for _ in range(1007)]
    rest = iter(values)
    hour = datetime.now(UTC) - timedelta(hours=2)
    stamp = f"{hour:%Y-%m-%dT%H}:30:00Z"
    forms = {
        "application/json": [
            f'{{"key":"e2e","value":{next(rest)},"timestamp":"{stamp}"}}',
            f'[{{"key":"e2e","value":{next(rest)},"timestamp":{hour.timestamp()}}}]',
        ],
        "application/x-ndjson": [
            "\n".join(
                f'{{"key":"e2e","value":{next(rest)},"timestamp":"{stamp}"}}' for _ in range(5)
            )
        ],
    }
    column = [next(rest) for _ in range(1000)]
    stamps = ",".join(f'"{stamp}"' for _ in column)
    forms["application/json"].append(f'{{"key":"e2e","values":{column},"timestamps":[{stamps}]}}')
    collector, query = f"localhost:{running.port}", f"localhost:{running.port + 100}"
    for content_type, bodies in forms.items():
        for body in bodies:
            answer = curl(
                f"{collector}/messages",
                "-H",
                f"Content-Type: {content_type}",
                "--data-binary",
                body,
            )
            assert '"rejected":0' in answer
    assert next(rest, None) is None

    def ask(stat: str, key: str = "e2e", at: datetime = hour) -> str:
        return curl(f"{query}/{key}/{stat}/{at:%Y-%m-%d}/{at.hour}")

    wait_until(lambda: '"count":1007,"complete":true' in ask("count"))

    def value(stat: str) -> float:
        return float(re.search(r'"value":([0-9.e+-]+)', ask(stat))[1])

    assert value("count") == len(values)
    assert value("min") == min(values)
    assert value("max") == max(values)
    assert value("sum") == pytest.approx(math.fsum(values), rel=1e-12)
    assert value("average") == pytest.approx(statistics.fmean(values), rel=1e-12)
    assert value("median") == pytest.approx(statistics.median(values), rel=0.01)
    percentiles = statistics.quantiles(values, n=1000, method="inclusive")
    for stat, permille in (("p1", 10), ("p90", 900), ("p99", 990), ("p99.9", 999)):
        assert value(stat) == pytest.approx(percentiles[permille - 1], rel=0.01)

    # Those that carry no time belong to the hour in which they come.
    now = datetime.now(UTC)
    plain = [
        ["-d", '["now",1]'],
        ["-d", '[["now",2],{"key":"now","value":3}]'],
        ["-d", '{"key":"now","values":[4,5]}'],
        ["-d", "now,6"],
        ["-d", "now:7|ms"],
        ["-d", "key=now&value=8"],
        ["-H", "Content-Type: text/plain", "--data-binary", "now,9\nnow:10|ms|@0.1"],
    ]
    for arguments in plain:
        assert '"rejected":0' in curl(f"{collector}/messages", *arguments)
    wait_until(lambda: '"count":19,' in ask("count", "now", now))
    assert '"value":145.0,' in ask("sum", "now", now)


def test_it_stops_with_all_its_processes_and_the_numbers_are_there_again(
    installed: Path, beside: list[str], tmp_path: Path
) -> None:
    """ops/run stops with all processes; a second start installs nothing and has the data."""
    folder = {"METRICS_DATA_DIR": str(tmp_path / "data")}
    at = datetime.now(UTC)

    def stop(run: Run, number: signal.Signals) -> None:
        assert len(processes_in(installed)) > len(beside)
        begun = monotonic()
        assert run.stop(number) == 0
        assert monotonic() - begun < launch.STOP_TIMEOUT_S  # then the rest would be killed
        assert processes_in(installed) == beside

    first = Run(installed, **folder)
    try:
        first.wait_until_ready()
        for value in (1, 2, 3):
            curl(f"localhost:{first.port}/messages", "-d", f"kept,{value}")
        stop(first, signal.SIGTERM)
    finally:
        first.kill()
    second = Run(installed, **folder)
    try:
        second.wait_until_ready()
        assert "installing" not in second.output
        query = f"localhost:{second.port + 100}/kept/sum/{at:%Y-%m-%d}/{at.hour}"
        wait_until(lambda: '"value":6.0,"count":3' in curl(query))
        stop(second, signal.SIGINT)
    finally:
        second.kill()


def test_nobody_else_reads_or_changes_the_numbers(
    installed: Path, old_redis: str, tmp_path: Path
) -> None:
    """Only the user can read the data, by files or by Redis, also data of an older version."""
    data = tmp_path / "data"
    numbers_of_an_older_version(data)
    where = {"PATH": old_redis, "METRICS_DATA_DIR": str(data), "PORT": str(free_base_port())}
    for _ in range(2):
        run = Run(installed, **where)
        try:
            welcome = run.wait_until_ready()
            redis_cli = re.search(r"^Redis: (.*)\. Stop", welcome, re.MULTILINE)[1]
            assert shell(f"{redis_cli} get kept") == "since then\n"
            modes = {path.stat().st_mode & 0o777 for path in data.rglob("*.aof*")}
            assert modes == {0o600}
            assert data.stat().st_mode & 0o777 == 0o700
            url = f"redis://127.0.0.1:{run.port + REDIS_OFFSET}/0"
            with Redis.from_url(url) as anybody, pytest.raises(AuthenticationError):
                anybody.get("kept")
            password = (data / "redis.password").read_text("utf-8").strip()
            assert (data / "redis.password").stat().st_mode & 0o777 == 0o600
            assert not [line for line in processes_in(Path("/")) if password in line]
            assert password not in run.output
        finally:
            run.kill()


def numbers_of_an_older_version(data: Path) -> None:
    """Leave what a Redis 6.2 has written for ``ops/run`` without a password, for all to read."""
    data.mkdir()
    server = EmbeddedRedis(min(SERVERS.items())[1], port=free_port(), folder=data).start()
    with server.client() as client:
        client.set("kept", "since then")
    server.stop()
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_with_a_redis_url_it_starts_no_redis(installed: Path, own_redis: EmbeddedRedis) -> None:
    """With REDIS_URL, ops/run starts no Redis and uses the given one."""
    run = Run(installed, REDIS_URL=own_redis.url)
    try:
        run.wait_until_ready()
        assert is_free(run.port + REDIS_OFFSET)
        assert curl(f"localhost:{run.port}/messages", "-d", "a,1") == '{"accepted":1,"rejected":0}'
        redis = Connection.open(own_redis.url, timeout_s=5, connections_max=1)
        assert hash_of(redis, "metrics:layout")["partitions"] == "16"
        redis.close()
    finally:
        run.kill()


def test_a_busy_port_is_one_clear_line(installed: Path, tmp_path: Path) -> None:
    """A busy port is one line that names it and how to take another."""
    base = free_base_port()
    with socket.create_server(("127.0.0.1", base + 100)):
        run = Run(installed, PORT=str(base), METRICS_DATA_DIR=str(tmp_path))
        line = last_line(run.end())

    assert line == (
        f"ops/run: port {base + 100} cannot be used; another base port is set with PORT"
    )


def test_a_folder_that_cannot_be_written_is_one_clear_line(installed: Path, tmp_path: Path) -> None:
    """A folder that cannot be written is an error line that names METRICS_DATA_DIR."""
    (tmp_path / "file").write_text("in the way", "utf-8")

    line = last_line(Run(installed, METRICS_DATA_DIR=str(tmp_path / "file" / "data")).end())

    assert line.startswith("ops/run: METRICS_DATA_DIR: cannot write to ")


def test_an_unreachable_redis_is_one_clear_line(installed: Path) -> None:
    """An unreachable Redis is an error line that names REDIS_URL."""
    line = last_line(Run(installed, REDIS_URL=f"redis://127.0.0.1:{free_port()}").end())

    assert line.startswith("ops/run: REDIS_URL: Redis is away: ")
    assert "refused" in line


def test_a_bad_setting_is_one_clear_line(installed: Path) -> None:
    """A bad setting is one line that names the variable and what is allowed."""
    line = last_line(Run(installed, METRICS_PARTITIONS="0").end())

    assert line == ("ops/run: METRICS_PARTITIONS must be a whole number from 1 to 16384, got '0'")


def test_another_number_of_partitions_is_one_clear_line(running: Run, installed: Path) -> None:
    """Another number of partitions than in Redis is an error line that names both."""
    password = (running.data / "redis.password").read_text("utf-8").strip()
    url = f"redis://:{password}@127.0.0.1:{running.port + REDIS_OFFSET}/0"

    line = last_line(Run(installed, REDIS_URL=url, METRICS_PARTITIONS="32").end())

    assert line.startswith("ops/run: metrics:layout differs: partitions is 32 here and 16 in Redis")


def test_a_data_folder_is_used_by_one_only(running: Run, installed: Path) -> None:
    """A second ops/run on the same data folder ends with an error line."""
    line = last_line(Run(installed, METRICS_DATA_DIR=str(running.data)).end())

    assert line.startswith("ops/run: METRICS_DATA_DIR: ")
    assert line.endswith(" is in use by another ops/run")


def test_a_process_that_dies_stops_the_rest(
    another: Run, installed: Path, beside: list[str]
) -> None:
    """A process that dies stops the rest, and ops/run fails."""
    worker = next(
        process
        for process in Path("/proc").glob("[0-9]*")
        if is_worker_of(process, another.port + SERVICES["worker"])
    )
    os.kill(int(worker.name), signal.SIGKILL)

    assert another.process.wait(60) != 0
    assert "ops/run: a process ended" in another.output
    assert processes_in(installed) == beside


def test_a_killed_run_leaves_no_process(another: Run, installed: Path, beside: list[str]) -> None:
    """A killed ops/run leaves no process."""
    another.process.kill()

    wait_until(lambda: processes_in(installed) == beside)


def test_the_library_alone_needs_nothing_but_python(clone: Path, tmp_path: Path) -> None:
    """``pip install .`` installs the library and nothing else."""
    venv = tmp_path / "venv"
    subprocess.run(["python3", "-m", "venv", "--without-pip", venv], env=environ(), check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", clone],
        env=environ(),
        check=True,
    )

    names = "from importlib.metadata import *; print(*{d.name for d in distributions()})"
    assert shell(f'{python} -c "{names}"') == "metrics\n"
    subprocess.run([python, "-c", "from metrics import Client, hours, message"], check=True)


@pytest.mark.parametrize(
    ("host", "to"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::", "'[::1]'"), ("::1", "'[::1]'")],  # noqa: S104
)
def test_the_lines_that_it_prints_go_where_it_listens(host: str, to: str) -> None:
    """The printed curl lines use the address that the services listen at, also in IPv6."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", "METRICS_HOST": host})
    lines = launch._welcome(settings, "redis-cli").splitlines()

    starts = [line.split("/")[0] for line in lines if line.startswith("  curl ")]
    assert starts == [f"  curl {to}:8000", f"  curl {to}:8100"]
