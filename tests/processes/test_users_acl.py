"""Redis with users: the shipped file works, and a default user without rights is refused."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from metrics.audit import read_audits
from metrics.backlog import Backlog
from metrics.cli.command_line import command_line
from metrics.connection import Connection, command
from metrics.errors import StorageUnsoundError
from metrics.hours import Hour
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.keyspace import LAYOUT, PartitionNames
from metrics.known_keys import KnownKeys
from metrics.layout import Layout
from metrics.store import Store
from metrics.stream import Appender
from ops.local.ports import free_port
from ops.local.redis_server import version_of
from ops.local.redis_with_users import ADMIN, USERS, RedisWithUsers
from tests.support.streams import (
    HOUR,
    NEVER_LATE_S,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)
from workers.aggregator import Aggregator

pytestmark = pytest.mark.every_server

PARTITIONS = 2
KEY = "checkout.web-1"
NOW = float(Hour.parse(HOUR).end)
SAFE, UNSAFE = "user default off resetpass ~* &* +@all\n", "user default off\n"


@pytest.fixture
def redis_with_users(server: Path, tmp_path: Path) -> Iterator[RedisWithUsers]:
    """Yield a server of each version under the shipped users."""
    # With everysec a kill may lose what was written while the disk was busy.
    always = ("--appendfsync", "always")
    redis = RedisWithUsers(server, port=free_port(), folder=tmp_path, options=always)
    redis.start()
    yield redis
    redis.stop(signal.SIGKILL)


def connected(redis: RedisWithUsers, role: str) -> Connection:
    """Return the way to it as one of its users."""
    return Connection.open(redis.url_of(role), timeout_s=5, connections_max=4)


def ensure_layout(connection: Connection) -> None:
    """Check the layout as a process that starts now does."""
    Layout(connection, partitions=PARTITIONS).ensure()


def collect(connection: Connection, key: str) -> None:
    """Reserve and append a batch as a collector does."""
    appender = Appender(
        connection,
        ensure_layout=lambda: ensure_layout(connection),
        backlog_limit_entries=100,
        window_s=900,
    )
    idempotency_key = IdempotencyKey(key, "body_digest")
    reservation = Reservation(idempotency_key, NOW, partitions=PARTITIONS, window_s=900)
    of_batch, arrival = appender.send(
        [batch([1.0, 2.0], idempotency_key=idempotency_key), reservation]
    )
    assert (of_batch, arrival) == ({}, NOW)


def fold_all(connection: Connection) -> None:
    """Run a worker's turns: find what is pending, read, claim, commit and delete idle consumers."""
    aggregator = Aggregator(
        Backlog(connection, consumer="worker-1", retention_days=36500),
        ensure_layout=lambda: ensure_layout(connection),
        partitions=PARTITIONS,
        claim_s=0.0,
        lateness_s=NEVER_LATE_S,
        now=lambda: NOW,
    )
    for _ in range(4):
        aggregator.run_once()


def test_each_role_can_do_its_work_and_no_more(redis_with_users: RedisWithUsers) -> None:
    """Each user can send all commands of its role, and cannot write elsewhere."""
    with (
        closing(connected(redis_with_users, "collector")) as collector,
        closing(connected(redis_with_users, "worker")) as worker,
        closing(connected(redis_with_users, "query")) as query,
        closing(connected(redis_with_users, ADMIN)) as admin,
    ):
        collect(collector, "first")
        fold_all(worker)
        admin.ask(command("XADD", PartitionNames(1).stream, "*", "by", "hand"))
        for _ in range(4):
            fold_all(worker)
        assert admin.ask(command("XLEN", PartitionNames(1).dead)) == 1
        admin.ask(command("SET", PartitionNames(0).hour(f"{HOUR}:spoilt"), "by hand"))
        collect(collector, "second")
        fold_all(worker)

        ensure_layout(query)
        store = Store(query, partitions=PARTITIONS)
        (found,) = store.read(KEY, [Hour.parse(HOUR)])
        assert (found.aggregate.count, found.is_drained) == (4, True)
        hours = [Hour(Hour.parse(HOUR).number - 1), Hour.parse(HOUR)]
        assert store.read(f"{KEY}*", hours)[1].aggregate == found.aggregate
        page = KnownKeys(query, partitions=PARTITIONS).page([""], "", 9)
        assert page == [(KEY, Hour.parse(HOUR))]
        audit = read_audits(query, [0])[0]
        assert (audit.applied, audit.oldest_s) == (4, 0)
        operator = CliRunner(env={"REDIS_URL": redis_with_users.url_of("operator")})
        status = operator.invoke(command_line, ["status"])
        assert "unhealthy: 1 dead letters" in status.output
        assert "worker-1: 0 pending" in status.output
        assert operator.invoke(command_line, ["dead", "retry", "--all"]).output == "1 retried\n"
        for connection, name in ((collector, HOUR), (query, "dead"), (worker, "seen:first")):
            reply = connection.execute([command("HSET", f"metrics:{{0}}:{name}", "a", "b")])[0]
            assert "permission" in str(reply).lower(), reply


def test_a_restart_under_the_users_that_ship_finds_everything(
    redis_with_users: RedisWithUsers,
) -> None:
    """Under the shipped users a restart finds streams, fingerprints, hashes and audit."""
    with closing(connected(redis_with_users, "collector")) as collector:
        collect(collector, "committed")
        with closing(connected(redis_with_users, "worker")) as worker:
            fold_all(worker)
        collect(collector, "waiting")
    with closing(connected(redis_with_users, ADMIN)) as admin:
        before = audit_of(admin), hash_of(admin, PartitionNames(0).hour(f"{HOUR}:{KEY}"))

    redis_with_users.stop(signal.SIGKILL)
    redis_with_users.start()

    with closing(connected(redis_with_users, ADMIN)) as admin:
        ensure_layout(admin)
        assert (audit_of(admin), hash_of(admin, PartitionNames(0).hour(f"{HOUR}:{KEY}"))) == before
        assert before[0] == {
            "appended": 2, "committed": 1, "dead": 0,
            "accepted": 4, "applied": 2, "dead_messages": 0, "length": 1,
        }  # fmt: skip
        for key in ("committed", "waiting"):
            assert admin.ask(command("EXISTS", PartitionNames(0).seen(key))) == 1
        assert_audit_balances(admin)


def test_a_default_user_without_rights_is_refused_before_it_costs_anything(
    server: Path, tmp_path: Path
) -> None:
    """A default user without rights is refused from Redis 7.0 on, until it has them."""
    users = USERS.read_text("utf-8").replace(SAFE, UNSAFE)
    assert UNSAFE in users
    redis = RedisWithUsers(server, port=free_port(), folder=tmp_path, users=users)
    redis.start()
    try:
        with closing(connected(redis, "worker")) as worker:
            if version_of(server) >= (7,):
                with pytest.raises(StorageUnsoundError, match="default user of Redis has no righ"):
                    ensure_layout(worker)
            redis.client().execute_command("ACL", "SETUSER", *SAFE.split()[1:])
            ensure_layout(worker)
    finally:
        redis.stop(signal.SIGKILL)


def test_a_process_that_finds_a_layout_without_its_data_refuses(connection: Connection) -> None:
    """A process refuses a layout without its data, until the layout is deleted too."""
    ensure_layout(connection)
    ensure_layout(connection)
    collect(connection, "first")
    ensure_layout(connection)
    for partition in range(PARTITIONS):
        connection.ask(command("DEL", PartitionNames(partition).audit))

    with pytest.raises(StorageUnsoundError, match="Redis has lost its data: metrics:layout says"):
        ensure_layout(connection)

    connection.ask(command("DEL", LAYOUT))
    ensure_layout(connection)
