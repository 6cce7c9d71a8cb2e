"""Backups are taken and restored as docs/operations.md says."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics.connection import Connection, command
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until
from tests.pages.test_runbook import NAMES, lack_a_worker, work
from tests.support.streams import assert_audit_balances

pytestmark = pytest.mark.usefixtures("early_in_the_hour")


@pytest.fixture
def old(server: Path, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Yield a Redis with three messages in an hour, and two in the backlog."""
    # Else 7.0 waits five seconds for more who may want a snapshot.
    with running(server, tmp_path / "old", "--repl-diskless-sync-delay", "0") as redis:
        with way_to(redis) as connection:
            lack_a_worker(connection)
        yield redis


@contextmanager
def running(server: Path, folder: Path, *options: str) -> Iterator[EmbeddedRedis]:
    """Run a Redis on the files of a folder."""
    folder.mkdir(exist_ok=True)
    redis = EmbeddedRedis(server, port=free_port(), folder=folder, options=options).start()
    try:
        yield redis
    finally:
        redis.stop()


@contextmanager
def way_to(redis: EmbeddedRedis) -> Iterator[Connection]:
    """Open the way to a Redis."""
    connection = Connection.open(redis.url, timeout_s=5, connections_max=2)
    try:
        yield connection
    finally:
        connection.close()


def assert_nothing_is_missing(redis: EmbeddedRedis) -> None:
    """Check that a worker goes on where the copy was taken, and that the audit balances."""
    with way_to(redis) as connection:
        assert connection.ask(command("XLEN", NAMES.stream)) == 1
        work(connection)
        assert connection.ask(command("HGET", NAMES.audit, "applied")) == b"5"
        assert_audit_balances(connection, NAMES.number)


def test_a_copy_of_the_folder_has_it_all(old: EmbeddedRedis, server: Path, tmp_path: Path) -> None:
    """A copy of the data folder, taken while Redis runs, has all data."""
    assert old.client().info("persistence")["aof_rewrite_in_progress"] == 0
    shutil.copytree(tmp_path / "old", tmp_path / "new")

    with running(server, tmp_path / "new") as redis:
        assert_nothing_is_missing(redis)


def test_a_snapshot_is_restored_as_the_page_says(
    old: EmbeddedRedis, server: Path, tmp_path: Path
) -> None:
    """A snapshot is restored without an append-only file, which is made from it then."""
    (tmp_path / "new").mkdir()
    command_line = f"{old.cli} --rdb {tmp_path / 'new' / 'dump.rdb'}"
    subprocess.run(["/bin/sh", "-c", command_line], check=True, capture_output=True)

    with running(server, tmp_path / "new", "--appendonly", "no") as redis:
        redis.client().config_set("appendonly", "yes")
        wait_until(lambda: has_an_append_only_file(redis))
    with running(server, tmp_path / "new") as redis:
        assert_nothing_is_missing(redis)


def has_an_append_only_file(redis: EmbeddedRedis) -> bool:
    """Return whether Redis has written all that it holds to its append-only file."""
    told = redis.client().info("persistence")
    return told["aof_enabled"] == 1 and not (
        told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"]
    )
