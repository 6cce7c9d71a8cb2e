"""Every command of the runbook runs on what the processes leave in Redis, well and broken."""

import json
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from metrics.backlog import NEW, Backlog
from metrics.connection import Connection, command
from metrics.entry import Column
from metrics.keyspace import PartitionNames, partition_of
from metrics.layout import Layout
from metrics.stream import Batch
from ops.local.redis_cluster import RedisCluster
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until
from tests.collector.test_collector import client_of, post
from tests.support.clusters import PARTITIONS, heal
from tests.support.runbook import HEALTHY, PAGE, Step, fits, steps, typed
from tests.support.streams import NEVER_LATE_S, append, assert_audit_balances
from workers.aggregator import DELIVERIES_MAX, Aggregator

KEY = "checkout.web-1"
NAMES = PartitionNames(partition_of(KEY, PARTITIONS))
NODE_DOWN = "node-down"


@pytest.fixture
def changeable(connection: Connection) -> Iterator[Connection]:
    """Yield a connection to an empty Redis, whose settings are restored afterwards."""
    yield connection
    for name, value in (
        ("maxmemory-policy", "noeviction"),
        ("auto-aof-rewrite-percentage", 100),
    ):
        connection.ask(command("CONFIG", "SET", name, value))


def collect(connection: Connection, *messages: object, **headers: str) -> None:
    """Let a collector append messages."""
    collector = client_of(connection, now=time.time)
    assert post(collector, json.dumps(messages), **headers).status_code == 202


def work(connection: Connection, rounds: int = 3) -> None:
    """Let a worker do some rounds, and take over at once what others hold."""
    layout = Layout(connection, partitions=PARTITIONS)
    worker = Aggregator(
        Backlog(connection, consumer="worker.1", retention_days=30),
        ensure_layout=layout.ensure,
        partitions=PARTITIONS,
        claim_s=0.0,
        lateness_s=NEVER_LATE_S,
    )
    for _ in range(rounds):
        worker.run_once()


def be_well(connection: Connection) -> None:
    """Let three messages of the key be counted."""
    collect(connection, [KEY, 98.1], [KEY, 104.2], [KEY, 87])
    work(connection)


def lack_a_worker(connection: Connection) -> None:
    """Append two messages more, which nobody reads."""
    be_well(connection)
    collect(connection, [KEY, 1], [KEY, 2])


def hold_entries(connection: Connection) -> None:
    """Let a worker read and not commit."""
    lack_a_worker(connection)
    stuck = Backlog(connection, consumer="web-1-8200", retention_days=30)
    assert stuck.read({NAMES.number: NEW}, 10)[NAMES.number]


def miss_the_key(connection: Connection) -> None:
    """Let only another key have messages."""
    collect(connection, ["checkout.web-2", 1])
    work(connection)


def report_losses(connection: Connection) -> None:
    """Let the sender report dropped messages."""
    be_well(connection)
    collect(connection, {"key": KEY, "dropped": 17})
    work(connection)


def evict(connection: Connection) -> None:
    """Let Redis evict keys as a cache does."""
    be_well(connection)
    connection.ask(command("CONFIG", "SET", "maxmemory", 1 << 30))
    connection.ask(command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"))


def dead_letter(connection: Connection) -> None:
    """Let an entry that no worker can read become a dead letter."""
    be_well(connection)
    column = Column(f"{time.strftime('%Y-%m-%dT%H', time.gmtime())}:{KEY}", "strange", 1)
    assert append(connection, Batch({NAMES.number: [column]}, None)) == [None]
    work(connection, DELIVERIES_MAX + 1)


def repeat(connection: Connection) -> None:
    """Let a batch with an Idempotency-Key be counted."""
    be_well(connection)
    collect(connection, [KEY, 1], Idempotency_Key="web-1/4711")
    work(connection)


def be_wide(connection: Connection) -> None:
    """Let values from nanoseconds to hours be counted."""
    collect(connection, {"key": KEY, "values": [1e-6 * 1.02**i for i in range(1200)]})
    work(connection)


def differ(connection: Connection) -> None:
    """Write another layout to Redis."""
    Layout(connection, partitions=32).ensure()


def delete(connection: Connection) -> None:
    """Empty the stream by hand."""
    lack_a_worker(connection)
    connection.ask(command("XTRIM", NAMES.stream, "MAXLEN", 0))
    work(connection)


STATES: Mapping[str, Callable[[Connection], None]] = {
    HEALTHY: be_well,
    "no-worker": lack_a_worker,
    "stuck": hold_entries,
    "missing": miss_the_key,
    "dropped": report_losses,
    "evicting": evict,
    "dead": dead_letter,
    "marks": repeat,
    "wide": be_wide,
    "other-layout": differ,
    "deleted": delete,
}


def assert_it_shows(state: str, found: list[Step], redis_cli: str) -> None:
    """Check that each command prints what the page shows for a state."""
    shown = [step for step in found if state in step.shown]
    assert shown
    for step in shown:
        printed = typed(step.commands, redis_cli)
        assert fits(step.shown[state], printed), f"{step.commands}\nprinted\n{printed}"


@pytest.mark.usefixtures("early_in_the_hour")
@pytest.mark.parametrize("state", STATES)
def test_the_commands_print_what_the_page_shows(
    changeable: Connection, redis_server: EmbeddedRedis, state: str
) -> None:
    """In each state the commands of the page print what the page shows."""
    STATES[state](changeable)

    assert_it_shows(state, [step for step in steps() if not step.on_cluster], redis_server.cli)


@pytest.mark.usefixtures("early_in_the_hour")
def test_an_audit_that_was_written_off_balances(
    changeable: Connection, redis_server: EmbeddedRedis
) -> None:
    """The last commands of the page make an unbalanced audit balance."""
    delete(changeable)
    with pytest.raises(AssertionError):
        assert_audit_balances(changeable, NAMES.number)

    typed(steps()[-1].commands, redis_server.cli)

    assert_audit_balances(changeable, NAMES.number)
    assert changeable.ask(command("EXISTS", NAMES.backlog)) == 0


@pytest.mark.parametrize("server", [find_server()], ids=["newest"])
def test_the_commands_for_a_cluster_print_what_the_page_shows(redis_cluster: RedisCluster) -> None:
    """The commands for a cluster print what the page shows, with and without a replica."""
    found = [step for step in steps() if step.on_cluster]
    master = redis_cluster.master_of(0)
    replica = redis_cluster.replica_of(master)
    redis_cli = f"{master.cli} -c"

    assert_it_shows(HEALTHY, found, redis_cli)
    replica.kill()
    try:
        wait_until(lambda: master.members()[replica.address].is_failed)
        assert_it_shows(NODE_DOWN, found, redis_cli)
    finally:
        heal(redis_cluster)


def test_every_command_is_shown_in_states_that_there_are() -> None:
    """The page shows exactly the states that these tests make."""
    states = {state for step in steps() for state in step.shown}

    assert states == {*STATES, NODE_DOWN}
    assert all(step.shown for step in steps())


def test_every_command_for_redis_is_marked_to_be_run() -> None:
    """Every redis-cli line of the runbook is in a block that the tests run, or a `command`."""
    for block in PAGE[PAGE.index("## Runbook") :].split("```sh\n")[1:]:
        assert "redis-cli" not in block.partition("```")[0] or "command redis-cli" in block


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("1) (integer) <n>\n", "1) (integer) 12\n", True),
        ("1) (integer) 0\n", "1) (integer) 12\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("a\n...\n", "b\n", False),
        ("", "", True),
        ("", "10 3\n", False),
        ("<n> metrics:{}:hour\n", "     16 metrics:{}:hour\n", True),
    ],
)
def test_what_is_printed_must_have_the_shape_that_is_shown(
    shown: str, printed: str, expected: bool
) -> None:
    """Printed text fits what the page shows if it differs only in ``<...>`` and ``...``."""
    assert fits(shown, printed) is expected
