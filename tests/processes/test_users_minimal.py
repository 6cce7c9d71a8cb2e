"""The users that ship may do what their roles need, and not one command or name more.

Redis keeps a log of what it denied to whom (ACL LOG). Under all of its rules a role's work leaves
nothing there; without any one of them something.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress

import pytest
from click.testing import CliRunner
from redis.crc import key_slot

import workers.aggregator
from api.collector.key_counts import KeysMax
from api.collector.key_limit import KeyLimit
from metrics import connection as connection_module
from metrics import key_hours
from metrics.audit import read_audits
from metrics.backlog import GROUP
from metrics.cli.command_line import command_line
from metrics.connection import Call, Connection, command
from metrics.deletion import Deletion
from metrics.errors import MetricsError
from metrics.hours import Hour
from metrics.keyspace import LAYOUT, PartitionNames
from metrics.known_keys import KnownKeys
from metrics.store import Store
from ops.local.ports import free_port
from ops.local.redis_cluster import RedisCluster
from ops.local.redis_server import find_server
from ops.local.redis_with_users import ADMIN, ROLES, USERS, RedisWithUsers
from tests.support import roles
from tests.support.roles import NOW, PARTITIONS, ensure_layout
from tests.support.streams import HOUR, append, batch

NAMES = PartitionNames(0)
THIS, NEXT = Hour.parse(HOUR), Hour(Hour.parse(HOUR).number + 1)
AHEAD = f"{int(NOW + 10**9) * 1000}-0"
"""The id of an entry that a clock which is ahead has made: the next ones must come after it."""

IN_A_CLUSTER = "+asking"


def rules_of(role: str) -> list[str]:
    """Return the rules that let a user in somewhere, as users.acl has them."""
    (line,) = (
        line for line in USERS.read_text("utf-8").splitlines() if line.startswith(f"user {role} ")
    )
    return [word for word in line.split() if word[0] in "~+"]


CASES = [(role, rule) for role in ROLES for rule in rules_of(role) if rule != IN_A_CLUSTER]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisWithUsers]:
    """Yield a Redis with the users that ship."""
    redis = RedisWithUsers(find_server(), port=free_port(), folder=tmp_path_factory.mktemp("users"))
    redis.start()
    yield redis
    redis.stop(signal.SIGKILL)


def connected(redis: RedisWithUsers, role: str) -> Connection:
    """Return the way to a Redis as one of its users."""
    return Connection.open(redis.url_of(role), timeout_s=5, connections_max=1)


def greet(connection: Connection) -> None:
    """Say what a connection over TLS begins with, and what a node is asked that was away."""
    connection.ask(command("PING"))


def confirm(connection: Connection) -> None:
    """Ask for a replica that has what was written; there is none."""
    connection.execute([command("XLEN", NAMES.stream)], replicas=1)


def collect(connection: Connection, _url: str = "") -> None:
    """Answer probes, check the layout, let keys in, reserve and append batches."""
    greet(connection)
    limit = KeyLimit(
        connection,
        ensure_layout=lambda: ensure_layout(connection),
        partitions=PARTITIONS,
        keys_max=KeysMax(10),
        retention_days=30,
        now=lambda: NOW,
    )
    limit.let_in({"new": THIS})
    roles.collect(connection, "a")
    ensure_layout(connection)
    confirm(connection)


def fold(connection: Connection, _url: str = "") -> None:
    """Make the group, fold, bury, claim, and delete idle consumers."""
    greet(connection)
    roles.fold(connection, consumer="worker-2")
    ensure_layout(connection)


def answer(connection: Connection, _url: str) -> None:
    """Answer every kind of question, and delete a key-hour."""
    greet(connection)
    ensure_layout(connection)
    store = Store(connection, partitions=PARTITIONS)
    store.read("checkout.web-1", [THIS])
    store.read("checkout.*", [THIS])
    known = KnownKeys(connection, partitions=PARTITIONS)
    known.page([""], "", 9)
    known.newest_hours("", THIS, NEXT, keys_max=9)
    read_audits(connection, [0])
    deletion = Deletion(connection, partitions=PARTITIONS, retention_days=1, now=lambda: NOW)
    deletion.delete("checkout.web-1", THIS)
    ensure_layout(connection)


def operate(connection: Connection, url: str) -> None:
    """Look at the pipeline, and list and retry dead letters."""
    greet(connection)
    operator = CliRunner(env={"REDIS_URL": url, "METRICS_PARTITIONS": str(PARTITIONS)})
    for arguments in ("status", "dead list", "dead retry --all"):
        operator.invoke(command_line, arguments.split())
    confirm(connection)


def before_collecting(admin: Connection) -> None:
    """Have an entry in the stream whose id is ahead of all clocks."""
    admin.ask(command("XADD", NAMES.stream, AHEAD, "a", "b"))


def before_folding(admin: Connection) -> None:
    """Have a batch, a foreign entry, a hash, and in the other partition an idle consumer."""
    there = NAMES.hour(f"{HOUR}:checkout.web-2")
    admin.ask(command("HSET", there, "count", 1, "sum", 2, "min", 2, "max", 2, "b:36", 1))
    append(admin, batch([1.0]), batch([2.0], key="checkout.web-2"))
    admin.ask(command("XADD", NAMES.stream, "*", "by", "hand"))
    other = PartitionNames(1).stream
    admin.ask(command("XGROUP", "CREATE", other, GROUP, 0, "MKSTREAM", key=other))
    admin.ask(command("XGROUP", "CREATECONSUMER", other, GROUP, "worker-1", key=other))


def before_operating(admin: Connection) -> None:
    """Have key-hours, and a dead letter."""
    before_folding(admin)
    fold(admin)


def before_asking(admin: Connection) -> None:
    """Have the same, and a layout to be made."""
    before_operating(admin)
    admin.ask(command("DEL", LAYOUT))


WORK: dict[str, tuple[Callable[[Connection], None], Callable[[Connection, str], None]]] = {
    "collector": (before_collecting, collect),
    "worker": (before_folding, fold),
    "query": (before_asking, answer),
    "operator": (before_operating, operate),
}


def denied(redis: RedisWithUsers, role: str, rules: Sequence[str]) -> list[str]:
    """Let a role do its work under some rules; return what Redis denied to it."""
    prepare, work = WORK[role]
    with closing(connected(redis, ADMIN)) as admin:
        for words in (("FLUSHALL",), ("SCRIPT", "FLUSH"), ("ACL", "LOG", "RESET")):
            admin.ask(Call(words))
        prepare(admin)
        admin.ask(Call(("SCRIPT", "FLUSH")))
        admin.ask(Call(("ACL", "SETUSER", role, "resetkeys", "-@all", *rules)))
        with closing(connected(redis, role)) as connection, suppress(MetricsError):
            work(connection, redis.url_of(role))
        log = admin.ask(Call(("ACL", "LOG")))
    return [entry[entry.index(b"object") + 1].decode() for entry in log]


@pytest.fixture(autouse=True)
def everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no replica, read a hash that is read alone in pieces, delete consumers at once."""
    monkeypatch.setattr(connection_module, "WAIT_MS", 1)
    monkeypatch.setattr(key_hours, "WIDE_FIELDS", 0)
    monkeypatch.setattr(workers.aggregator, "CONSUMER_IDLE_S", 0)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_denied_nothing_that_it_needs(users: RedisWithUsers, role: str) -> None:
    """Under all of its rules a role does all of its work."""
    assert denied(users, role, rules_of(role)) == []


@pytest.mark.parametrize(("role", "rule"), CASES)
def test_a_role_needs_each_of_its_rules(users: RedisWithUsers, role: str, rule: str) -> None:
    """Without any one of its commands or names a role is denied that, so it has none too many."""
    rules = [each for each in rules_of(role) if each != rule]

    assert denied(users, role, rules)


@pytest.mark.one_server
@pytest.mark.parametrize("role", ROLES)
def test_a_role_follows_a_slot_that_moves(redis_cluster: RedisCluster, role: str) -> None:
    """In a cluster a role follows a slot that is on its way, and needs ASKING for it."""
    slot = key_slot(NAMES.stream.encode())
    source = redis_cluster.master_of(slot)
    target = next(
        node for at in redis_cluster.masters() if (node := redis_cluster.node_at(at)) is not source
    )
    user = ("ACL SETUSER", role, "reset", "on", f">{role}", *rules_of(role))
    for node in (source, target):
        node.ask(*user)
    moving = redis_cluster.moving_slot(slot, target)
    next(moving)
    url = f"redis://{role}:{role}@{source.address}"
    with closing(Connection.open(url, timeout_s=5, connections_max=1)) as connection:
        look = command("XLEN", NAMES.stream)
        followed = connection.execute([look])
        target.ask("ACL SETUSER", role, "-asking")
        refused = connection.execute([look])
    target.ask("CLUSTER SETSLOT", slot, "STABLE")
    source.ask("CLUSTER SETSLOT", slot, "STABLE")
    for node in (source, target):
        node.ask("ACL DELUSER", role)

    assert followed == [0]
    assert "Redis refuses" in str(refused[0])
