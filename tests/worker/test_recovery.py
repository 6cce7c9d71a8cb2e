"""A worker goes on after others died, groups or streams are gone, and entries are no good."""

import pytest

from metrics.backlog import Backlog
from metrics.connection import Connection, command
from metrics.keyspace import GROUP, PartitionNames
from ops.local.waiting import wait_until
from tests.conftest import Clock
from tests.support.aggregators import HASH, STREAM, aggregator_of, drain
from tests.support.streams import (
    HOUR,
    append,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)
from workers.aggregator import DELIVERIES_MAX, ENTRIES_MAX


def test_a_restarted_worker_finds_what_it_had_read(connection: Connection, clock: Clock) -> None:
    """A worker that restarts under its name commits what it had read before."""
    append(connection, batch())
    backlog = Backlog(connection, consumer="worker-1", retention_days=30)
    backlog.create_groups([0])
    backlog.read({0: b">"}, 10)

    drain(aggregator_of(connection, clock, "worker-1"))

    assert hash_of(connection, HASH)["count"] == "1"


def test_entries_of_a_dead_worker_are_taken_over(connection: Connection, clock: Clock) -> None:
    """A worker claims and commits all entries of a dead worker, however many there are."""
    for _ in range(ENTRIES_MAX * 2 + 3):
        append(connection, batch())
    dead = Backlog(connection, consumer="dead", retention_days=30)
    dead.create_groups([0, 1])
    dead.read({0: b">"}, 10_000)
    heir = aggregator_of(connection, clock, "heir", claim_s=0.0)
    heir.run_once()

    while audit_of(connection)["length"]:
        heir.run_once()

    assert hash_of(connection, HASH)["count"] == str(ENTRIES_MAX * 2 + 3)
    assert_audit_balances(connection)


def test_a_missing_group_is_created_again(connection: Connection, clock: Clock) -> None:
    """A deleted group is created again, and each message counts once."""
    aggregator = aggregator_of(connection, clock)
    append(connection, batch())
    drain(aggregator)
    append(connection, batch())
    connection.ask(command("XGROUP", "DESTROY", STREAM, GROUP))

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "2"


def test_a_deleted_stream_is_begun_again(connection: Connection, clock: Clock) -> None:
    """A worker goes on with what comes after its stream was deleted."""
    aggregator = aggregator_of(connection, clock)
    drain(aggregator)
    connection.ask(command("DEL", STREAM))
    append(connection, batch())

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "1"


POISON = {
    "fields of another kind": ["temperature", "21"],
    "values that are no numbers": [f"{HOUR}:checkout.web-1", "1.0,many"],
    "a key that is none": [f"{HOUR}:check out", "1.0"],
    "bytes": ["\udcff", "1.0"],
}


@pytest.mark.parametrize("fields", POISON.values(), ids=POISON)
def test_an_entry_that_cannot_be_read_is_buried_after_a_few_deliveries(
    connection: Connection, clock: Clock, fields: list[str]
) -> None:
    """An unreadable entry becomes a dead letter after some deliveries; its neighbours count."""
    append(connection, batch([1.0]))
    raw = [text.encode("utf-8", "surrogateescape") for text in fields]
    poison = connection.ask(command("XADD", STREAM, "*", *raw))
    append(connection, batch([2.0]))
    aggregator = aggregator_of(connection, clock, claim_s=0.001)

    drain(aggregator)
    assert hash_of(connection, HASH)["count"] == "2"
    assert connection.ask(command("XLEN", PartitionNames(0).dead)) == 0
    claims = 0
    while connection.ask(command("XLEN", STREAM)):
        clock.seconds += 1
        drain(aggregator)
        claims += 1

    assert claims >= DELIVERIES_MAX - 1
    ((_, dead_lettered),) = connection.ask(command("XRANGE", PartitionNames(0).dead, "-", "+"))
    assert dead_lettered[:3] == [b"id", poison, b"reason"]
    assert dead_lettered[4:] == raw
    assert connection.ask(command("XLEN", STREAM)) == 0
    assert connection.ask(command("XPENDING", STREAM, GROUP))[0] == 0
    assert audit_of(connection) == {
        "appended": 2, "committed": 2, "dead": 0, "foreign": 1,
        "accepted": 2, "applied": 2, "dead_messages": 0, "length": 0,
    }  # fmt: skip
    assert_audit_balances(connection)


def test_a_hash_that_is_not_sound_holds_up_nobody(
    connection: Connection, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Columns of an unsound hash become dead letters at once, and the rest of the entry counts."""
    connection.ask(command("SET", HASH, "by hand"))
    aggregator = aggregator_of(connection, clock)
    drain(aggregator)
    for _ in range(6):
        append(connection, batch(), batch([7.0], key="another"))
        aggregator.run_once()
        assert connection.ask(command("XLEN", STREAM)) == 0

    assert hash_of(connection, PartitionNames(0).hour(f"{HOUR}:another"))["count"] == "6"
    assert connection.ask(command("XLEN", PartitionNames(0).dead)) == 6
    assert caplog.text.count(f"{HASH} is not sound: type; its messages go to the dead") == 1
    assert_audit_balances(connection)


def test_entries_that_somebody_deleted_do_not_stay_pending(
    connection: Connection, clock: Clock
) -> None:
    """Entries that somebody deleted do not stay pending."""
    append(connection, batch())
    lost = Backlog(connection, consumer="dead", retention_days=30)
    lost.create_groups([0, 1])
    (entry,) = lost.read({0: b">"}, 10)[0]
    connection.ask(command("XDEL", STREAM, entry.id))
    aggregator = aggregator_of(connection, clock, claim_s=0.001)

    def is_clean() -> bool:
        clock.seconds += 1
        drain(aggregator)
        return connection.ask(command("XPENDING", STREAM, GROUP))[0] == 0

    assert wait_until(is_clean)


@pytest.mark.parametrize("name", [PartitionNames(0).audit, PartitionNames(0).keys])
def test_an_audit_that_is_not_sound_dead_letters_nothing(
    connection: Connection, clock: Clock, name: str
) -> None:
    """Entries wait while the audit is unsound, become no dead letters, and count afterwards."""
    aggregator = aggregator_of(connection, clock, claim_s=0.0)
    append(connection, batch())
    connection.ask(command("DEL", name))
    connection.ask(command("SET", name, "by hand"))
    for _ in range(DELIVERIES_MAX * 3):
        drain(aggregator)
    assert connection.ask(command("XLEN", PartitionNames(0).dead)) == 0

    connection.ask(command("DEL", name))
    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "1"
