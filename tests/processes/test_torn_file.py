"""A Redis whose append-only file lacks its end, within a transaction, counts each message once.

Redis' own way of dealing with such a file counts twice, and the project's way does not: each
experiment shows both.
"""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics.connection import Connection, command
from metrics.errors import SettingsError
from metrics.idempotency import IdempotencyKey
from metrics.keyspace import PartitionNames
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server, is_valkey
from ops.local.waiting import wait_until
from tests.conftest import Clock
from tests.support.aggregators import HASH, PARTITIONS, aggregator_of, drain
from tests.support.runs import Run, installed_in
from tests.support.streams import append, assert_audit_balances, audit_of, batch, hash_of

pytestmark = pytest.mark.every_server

REDIS_DEFAULT = ("--aof-load-truncated", "yes")
MARK = IdempotencyKey("web-1/4711", "body_digest")
OTHER = PartitionNames(0).hour("2026-11-23T14:checkout.web-2")
COMMAND = re.compile(rb"\*\d+\r\n")


class Torn:
    """A Redis that is killed and whose file is then cut, as often as a test likes."""

    def __init__(self, server: Path, folder: Path, *options: str) -> None:
        self.redis = EmbeddedRedis(
            server,
            port=free_port(),
            folder=folder,
            options=("--appendfsync", "always", *options),
        )
        self.folder = folder

    @property
    def file(self) -> Path:
        """Return the file that Redis appends to."""
        several = sorted(self.folder.glob("appendonlydir/*.incr.aof"))
        return several[-1] if several else self.folder / "appendonly.aof"

    @contextmanager
    def running(self) -> Iterator[Connection]:
        """Start Redis, yield a connection to it, and kill it."""
        self.redis.start()
        connection = Connection.open(self.redis.url, timeout_s=5.0, connections_max=2)
        try:
            yield connection
        finally:
            connection.close()
            self.redis.stop(signal.SIGKILL)

    def last_transaction(self) -> list[int]:
        """Return where each command of the last transaction begins, MULTI first, and its end."""
        text = self.file.read_bytes()
        begin = text.rindex(b"*1\r\n$5\r\nMULTI\r\n")
        return [*(found.start() for found in COMMAND.finditer(text, begin)), len(text)]

    def cut(self, at: int) -> None:
        """Leave the first ``at`` bytes of the file."""
        self.file.write_bytes(self.file.read_bytes()[:at])


@pytest.fixture
def torn(server: Path, tmp_path: Path) -> Iterator[Torn]:
    """Yield an empty Redis with the shipped settings."""
    torn = Torn(server, tmp_path)
    yield torn
    torn.redis.stop(signal.SIGKILL)


@pytest.fixture
def torn_by_default(server: Path, tmp_path: Path) -> Iterator[Torn]:
    """Yield an empty Redis with its own default for a torn file."""
    if is_valkey(server):
        pytest.skip("Valkey takes the torn part off by itself, since pull request 4342 of 2026")
    torn = Torn(server, tmp_path, *REDIS_DEFAULT)
    yield torn
    torn.redis.stop(signal.SIGKILL)


def count(connection: Connection, consumer: str = "worker-1") -> None:
    """Let a worker commit what is there for it."""
    drain(aggregator_of(connection, Clock(), consumer))


def append_one(connection: Connection) -> None:
    """Append the message of the experiments; again, if it is there already."""
    assert append(connection, batch([5.0], idempotency_key=MARK)) == [None]


def tear_the_append(torn: Torn) -> None:
    """Append a message, and leave its transaction in the file up to the middle of the audit."""
    with torn.running() as connection:
        append_one(connection)
    _, _, _, audit, after, *_ = torn.last_transaction()
    torn.cut((audit + after) // 2)


def tear_the_commit(torn: Torn) -> None:
    """Append and commit a message, and leave the commit up to the middle of its last command."""
    with torn.running() as connection:
        append_one(connection)
        count(connection)
    *_, last, execute, _ = torn.last_transaction()
    torn.cut((last + execute) // 2)


def append_again(torn: Torn) -> None:
    """Tear the append, append the same batch again as a client does, and kill Redis."""
    tear_the_append(torn)
    with torn.running() as connection:
        append_one(connection)


def commit_again(torn: Torn) -> None:
    """Tear the commit, commit what is pending again, and append another message."""
    tear_the_commit(torn)
    with torn.running() as connection:
        assert hash_of(connection, HASH) == {}
        count(connection)
        append(connection, batch([7.0]))


def commit_another(torn: Torn) -> None:
    """Tear the commit, and let another worker commit another message of the hour."""
    tear_the_commit(torn)
    with torn.running() as connection:
        append(connection, batch([7.0]))
        count(connection, "worker-2")


EXPERIMENTS = {append_again: (1, 5.0), commit_again: (2, 12.0), commit_another: (2, 12.0)}
"""What is done until the second restart; count and sum of the messages that were accepted."""


def outcome_of(torn: Torn) -> tuple[tuple[int, float], dict[str, int]]:
    """Start Redis once more, count what is left, and return count and sum, and the audit."""
    with torn.running() as connection:
        count(connection)
        hour = hash_of(connection, HASH)
        return (int(hour["count"]), float(hour["sum"])), audit_of(connection)


def test_as_redis_does_it_a_torn_append_counts_twice(torn_by_default: Torn) -> None:
    """By Redis' default a torn append counts its message twice."""
    append_again(torn_by_default)
    hour, _ = outcome_of(torn_by_default)

    assert hour == (2, 10.0)


def test_as_redis_does_it_a_torn_commit_is_in_the_audit_twice(torn_by_default: Torn) -> None:
    """By Redis' default a torn commit is in the audit twice, while the hour is right."""
    commit_again(torn_by_default)
    hour, audit = outcome_of(torn_by_default)

    assert hour == (2, 12.0)
    assert (audit["appended"], audit["committed"]) == (2, 3)


def test_as_redis_does_it_a_torn_commit_loses_a_message(torn_by_default: Torn) -> None:
    """By Redis' default a torn commit loses a message that another commit overwrites."""
    commit_another(torn_by_default)
    hour, audit = outcome_of(torn_by_default)

    assert hour == (1, 7.0)
    assert audit["length"] == 0


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_as_we_start_it_everything_counts_once(
    torn: Torn, experiment: Callable[[Torn], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the project's start a torn transaction counts once, and one line reports it."""
    experiment(torn)
    told = capsys.readouterr().err

    assert len(told.splitlines()) == 1
    assert f"{torn.file} lacked its end; its last " in told
    for _ in range(2):
        assert outcome_of(torn)[0] == EXPERIMENTS[experiment]
    with torn.running() as connection:
        assert_audit_balances(connection)
    assert capsys.readouterr().err == ""


def test_a_transaction_is_there_wholly_or_not_at_all_wherever_it_is_cut(torn: Torn) -> None:
    """A transaction is there wholly or not at all, wherever the file is cut."""
    tear_the_commit(torn)
    with torn.running() as connection:
        count(connection)
    begin, *starts, end = torn.last_transaction()
    whole = torn.file.read_bytes()
    within = [start + 9 for start in starts[1::2]]
    after_its_first_line = begin + len(b"*1\r\n")
    for at in (begin, after_its_first_line, begin + 9, *starts[::2], *within, end - 1, end):
        torn.file.write_bytes(whole[:at])
        with torn.running() as connection:
            is_there = hash_of(connection, HASH) != {}
            assert is_there == (at == end)
            assert audit_of(connection)["committed"] == is_there
            assert_audit_balances(connection)
            count(connection)
            assert hash_of(connection, HASH)["count"] == "1"


def test_the_file_is_kept_as_it_was(torn: Torn, capsys: pytest.CaptureFixture[str]) -> None:
    """The torn file is kept as a copy beside it, under the printed name."""
    tear_the_commit(torn)
    begin, *_ = torn.last_transaction()
    cut = torn.file.read_bytes()
    with torn.running():
        pass

    told = capsys.readouterr().err
    copy = Path(told.split()[-1])
    assert f"; its last {len(cut) - begin} bytes, " in told
    assert copy.parent == torn.file.parent
    assert copy.read_bytes() == cut


def test_a_file_that_begins_as_a_snapshot_is_mended_too(torn: Torn) -> None:
    """A torn file that begins with a snapshot is mended too."""
    with torn.running() as connection:
        append(connection, batch([7.0]))
        count(connection)
        connection.ask(command("BGREWRITEAOF"))
        wait_until(lambda: b"aof_rewrite_in_progress:0" in connection.ask(command("INFO")))
    tear_the_commit(torn)
    with torn.running() as connection:
        assert hash_of(connection, HASH)["count"] == "1"
        count(connection)
        assert hash_of(connection, HASH)["count"] == "2"
        assert_audit_balances(connection)


def length_changed(text: bytes, at: int) -> bytes:
    """Let a command reach beyond the end of the file, so that it looks torn."""
    return text[:at] + text[at:].replace(b"$", b"$9999", 1)


def mark_changed(text: bytes, at: int) -> bytes:
    """Overwrite the first byte of a command, so that it is none."""
    return text[:at] + b"?" + text[at + 1 :]


def zeros_added(text: bytes, _: int) -> bytes:
    """Add the zeros that some file systems leave after a power cut."""
    return text + bytes(64)


@pytest.mark.parametrize("damage", [length_changed, mark_changed, zeros_added])
def test_a_file_that_is_damaged_is_left_as_it_is(
    torn: Torn, damage: Callable[[bytes, int], bytes]
) -> None:
    """A damaged file stays as it is, and the start fails with one line."""
    tear_the_commit(torn)
    with torn.running() as connection:
        count(connection)
    begin, *_ = torn.last_transaction()
    damaged = damage(torn.file.read_bytes(), begin)
    torn.file.write_bytes(damaged)
    files = set(torn.folder.rglob("*"))

    with pytest.raises(SettingsError, match=r" is damaged after byte \d+ of .* --fix ") as caught:
        torn.redis.start()

    assert "\n" not in str(caught.value)
    assert torn.file.read_bytes() == damaged
    assert set(torn.folder.rglob("*")) == files


def test_a_file_that_lacks_its_end_before_another_is_left_as_it_is(torn: Torn) -> None:
    """A torn file that another file follows stays as it is, and the start fails."""
    tear_the_append(torn)
    manifest = torn.file.with_name("appendonly.aof.manifest")
    if not manifest.exists():
        pytest.skip("Redis 6.2 has one file only")
    cut = torn.file.read_bytes()
    first = torn.file
    with manifest.open("a") as listed:
        listed.write("file appendonly.aof.2.incr.aof seq 2 type i\n")
    first.with_name("appendonly.aof.2.incr.aof").touch()

    with pytest.raises(SettingsError, match=r"1\.incr\.aof lacks its end, and .*2\.incr\.aof goes"):
        torn.redis.start()

    assert first.read_bytes() == cut


def test_another_refusal_is_told_as_it_is(torn: Torn) -> None:
    """Another reason for which Redis does not start is in the error, and the file stays."""
    with torn.running() as connection:
        append_one(connection)
    unknown = torn.file.read_bytes() + b"*1\r\n$4\r\nNONE\r\n"
    torn.file.write_bytes(unknown)

    with pytest.raises(SettingsError, match=r"did not start; .* says: .*[Uu]nknown command 'NONE'"):
        torn.redis.start()

    assert torn.file.read_bytes() == unknown


def test_ops_run_mends_its_file_and_goes_on(tmp_path: Path) -> None:
    """ops/run mends a torn file, goes on, and prints one line about it."""
    data = tmp_path / "data"
    data.mkdir()
    torn = Torn(find_server(), data)
    tear_the_commit(torn)
    installed_in(tmp_path)
    run = Run(tmp_path, METRICS_DATA_DIR=str(data), METRICS_PARTITIONS=str(PARTITIONS))
    try:
        run.wait_until_ready()
        assert f"{torn.file} lacked its end; " in run.output
        assert run.output.count("lacked its end") == 1
    finally:
        run.kill()
