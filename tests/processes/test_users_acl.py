"""Redis with users over TLS: the shipped file works; a default user without rights is refused."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from metrics.audit import read_audits
from metrics.cli.command_line import command_line
from metrics.connection import Call, Connection, command
from metrics.errors import StorageUnsoundError
from metrics.hours import Hour
from metrics.keyspace import LAYOUT, PartitionNames
from metrics.known_keys import KnownKeys
from metrics.store import Store
from ops.local.ports import free_port
from ops.local.redis_server import version_of
from ops.local.redis_with_users import ADMIN, USERS, RedisWithUsers
from tests.support.roles import NOW, PARTITIONS, collect, ensure_layout, fold
from tests.support.streams import HOUR, assert_audit_balances, audit_of, hash_of
from tests.support.tls_redis import TlsRedis, started

pytestmark = pytest.mark.every_server

KEY = "checkout.web-1"
SAFE, UNSAFE = "user default off resetpass ~* &* +@all\n", "user default off\n"


@pytest.fixture
def tls_redis(server: Path, tmp_path: Path) -> Iterator[TlsRedis]:
    """Yield a server of each version under the shipped users, over TLS."""
    with started(server, tmp_path) as redis:
        yield redis


def test_each_role_can_do_its_work_and_no_more(tls_redis: TlsRedis) -> None:
    """Over TLS each user is denied nothing on the main path, and cannot write elsewhere."""
    with (
        closing(tls_redis.connected("collector")) as collector,
        closing(tls_redis.connected("worker")) as worker,
        closing(tls_redis.connected("query")) as query,
        closing(tls_redis.connected(ADMIN)) as admin,
    ):
        assert collect(collector, "first") == [{}, NOW]
        fold(worker)
        admin.ask(command("XADD", PartitionNames(1).stream, "*", "by", "hand"))
        for _ in range(4):
            fold(worker)
        assert admin.ask(command("XLEN", PartitionNames(1).dead)) == 1
        admin.ask(command("SET", PartitionNames(0).hour(f"{HOUR}:spoilt"), "by hand"))
        collect(collector, "second")
        fold(worker)

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
        operator = CliRunner(env=tls_redis.environ("operator"))
        status = operator.invoke(command_line, ["status"])
        assert "unhealthy: 1 dead letters" in status.output
        assert "worker-1: 0 pending" in status.output
        assert operator.invoke(command_line, ["dead", "retry", "--all"]).output == "1 retried\n"
        assert admin.ask(Call(("ACL", "LOG"))) == []
        for connection, name in ((collector, HOUR), (query, "dead"), (worker, "seen:first")):
            reply = connection.execute([command("HSET", f"metrics:{{0}}:{name}", "a", "b")])[0]
            assert "permission" in str(reply).lower(), reply


def test_a_restart_under_the_users_that_ship_finds_everything(
    tls_redis: TlsRedis,
) -> None:
    """As users over TLS, a restart finds streams, fingerprints, hashes and audit."""
    with closing(tls_redis.connected("collector")) as collector:
        collect(collector, "committed")
        with closing(tls_redis.connected("worker")) as worker:
            fold(worker)
        collect(collector, "waiting")
    with closing(tls_redis.connected(ADMIN)) as admin:
        before = audit_of(admin), hash_of(admin, PartitionNames(0).hour(f"{HOUR}:{KEY}"))

    tls_redis.redis.stop(signal.SIGKILL)
    tls_redis.redis.start()

    with closing(tls_redis.connected(ADMIN)) as admin:
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
        url = redis.url_of("worker")
        with closing(Connection.open(url, timeout_s=5, connections_max=4)) as worker:
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
