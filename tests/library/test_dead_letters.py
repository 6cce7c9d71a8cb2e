"""A dead letter is retried or dropped in one step, and the audit balances."""

import re

import pytest

from metrics.backlog import NEW, Backlog, PendingEntry
from metrics.client_aggregate import ClientAggregate
from metrics.connection import Connection, command
from metrics.dead_letters import BEGINNING, DeadLetters
from metrics.entry import Column
from metrics.errors import StorageUnavailableError, StorageUnsoundError
from metrics.keyspace import PartitionNames
from metrics.stream import Batch
from tests.library.test_backlog import HASH, STREAM, backlog_of, commit, read
from tests.support.aggregates import aggregate_of
from tests.support.streams import HOUR, append, assert_audit_balances, audit_of, batch, hash_of

pytestmark = pytest.mark.every_server

NAMES = PartitionNames(0)


def dead_lettered(connection: Connection, *columns: Column) -> Backlog:
    """Append an entry and dead-letter it; return the backlog."""
    append(connection, Batch({0: list(columns)}))
    backlog = backlog_of(connection)
    (entry,) = read(backlog)
    assert backlog.dead_letter(0, entry, "looks wrong")
    return backlog


def id_of_the_only_one(connection: Connection) -> bytes:
    """Return the id of the one dead letter there is."""
    (letter,) = DeadLetters(connection).page(0, BEGINNING, 10)
    return letter.id


def read_new(backlog: Backlog) -> list[PendingEntry]:
    """Return what was appended meanwhile."""
    entries = backlog.read({0: NEW}, 100)[0]
    assert isinstance(entries, list)
    return entries


VALUES = Column(f"{HOUR}:checkout.web-1", "1.0,2.0", 2)
OTHERS = Column("2026-11-23T15:checkout.web-2", "3.0", 1)
DROPPED = Column.of_dropped(f"{HOUR}:checkout.web-1", 17)
AGGREGATE = Column.of_aggregate(
    f"{HOUR}:checkout.web-1", ClientAggregate.parse(aggregate_of([1.0] * 40))
)


def test_a_dead_letter_shows_its_reason_and_its_entry(connection: Connection) -> None:
    """A dead letter has the id of its entry, the reason and the fields; pages are in order."""
    backlog = dead_lettered(connection, VALUES)
    append(connection, batch([4.0]))
    (entry,) = read_new(backlog)
    backlog.dead_letter(0, entry, "another")
    dead = DeadLetters(connection)

    (first,) = dead.page(0, BEGINNING, 1)
    (second,) = dead.page(0, first.id, 10)

    assert (first.reason, first.fields) == (
        b"looks wrong",
        [b"2026-11-23T14:checkout.web-1", b"1.0,2.0"],
    )
    assert (second.entry_id, second.reason) == (entry.id, b"another")
    assert dead.page(0, second.id, 10) == []
    assert dead.counts([0, 1]) == {0: 2, 1: 0}


def test_an_aggregate_is_dead_and_retried_as_what_it_stands_for(connection: Connection) -> None:
    """A dead client aggregate counts as its messages, when it dies and when it is retried."""
    backlog = dead_lettered(connection, AGGREGATE, VALUES)
    assert audit_of(connection)["dead_messages"] == 42

    assert DeadLetters(connection).retry(0, id_of_the_only_one(connection)) is True

    assert audit_of(connection)["accepted"] == 84
    (entry,) = read_new(backlog)
    assert commit(backlog, [entry]) is True
    assert hash_of(connection, HASH)["count"] == "42"
    assert_audit_balances(connection)


def test_a_retried_entry_counts(connection: Connection) -> None:
    """A retried entry is back in the stream and in the backlog, counts, and the audit balances."""
    backlog = dead_lettered(connection, VALUES, OTHERS, DROPPED)
    dead_id = id_of_the_only_one(connection)

    assert DeadLetters(connection).retry(0, dead_id) is True

    assert hash_of(connection, NAMES.backlog) == {HOUR: "1", "2026-11-23T15": "1"}
    assert connection.ask(command("XLEN", NAMES.dead)) == 0
    assert_audit_balances(connection)
    (entry,) = read_new(backlog)
    assert commit(backlog, [entry]) is True
    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, HASH)["dropped"] == "17"
    assert hash_of(connection, NAMES.backlog) == {}
    assert audit_of(connection) == {
        "appended": 2, "committed": 1, "dead": 1,
        "accepted": 6, "applied": 3, "dead_messages": 3, "length": 0,
    }  # fmt: skip
    assert_audit_balances(connection)


def test_a_dead_letter_is_retried_once(connection: Connection) -> None:
    """A second retry, as after a lost reply, changes nothing."""
    dead_lettered(connection, VALUES)
    dead_id = id_of_the_only_one(connection)
    dead = DeadLetters(connection)

    assert [dead.retry(0, dead_id) for _ in range(3)] == [True, False, False]
    assert connection.ask(command("XLEN", STREAM)) == 1


def test_a_column_of_an_unsound_hash_counts_once_that_is_mended(connection: Connection) -> None:
    """A column that an unsound hash kept apart comes back until the hash is mended, then counts."""
    backlog = backlog_of(connection)
    connection.ask(command("SET", HASH, "by hand"))
    append(connection, batch([1.0, 2.0]), batch([3.0], key="another"))
    commit(backlog, read(backlog))
    dead = DeadLetters(connection)

    dead.retry(0, id_of_the_only_one(connection))
    commit(backlog, read_new(backlog))
    assert_audit_balances(connection)
    connection.ask(command("DEL", HASH))
    dead.retry(0, id_of_the_only_one(connection))
    assert commit(backlog, read_new(backlog)) is True

    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, NAMES.hour(f"{HOUR}:another"))["count"] == "1"
    assert dead.counts([0]) == {0: 0}
    assert_audit_balances(connection)


def test_a_foreign_entry_that_is_retried_is_ours_from_then_on(connection: Connection) -> None:
    """A retry of what no collector appended counts as appended, so the audit goes on to balance."""
    connection.ask(command("XADD", STREAM, "*", f"{HOUR}:checkout.web-1", "1,2,3"))
    backlog = backlog_of(connection)
    (entry,) = read(backlog)
    backlog.dead_letter(0, entry, "by hand")
    assert audit_of(connection)["foreign"] == 1

    DeadLetters(connection).retry(0, id_of_the_only_one(connection))

    assert_audit_balances(connection)
    assert commit(backlog, read_new(backlog)) is True
    assert hash_of(connection, HASH)["count"] == "3"
    assert_audit_balances(connection)


def test_what_is_dropped_is_gone_and_counted(connection: Connection) -> None:
    """A dropped dead letter is gone for good; the audit goes on to count it as dead."""
    dead_lettered(connection, VALUES)
    dead_id = id_of_the_only_one(connection)
    before = audit_of(connection)
    dead = DeadLetters(connection)

    assert [dead.drop(0, dead_id), dead.drop(0, dead_id)] == [True, False]
    assert audit_of(connection) == before
    assert dead.retry(0, dead_id) is False
    assert_audit_balances(connection)


def test_the_id_of_a_retried_entry_is_new_whatever_the_clock_says(connection: Connection) -> None:
    """A retried entry comes after the newest of its stream, also if that has a time to come."""
    dead_lettered(connection, VALUES)
    connection.ask(command("XADD", STREAM, "9999999999999-5", f"{HOUR}:x", "1"))

    assert DeadLetters(connection, new_nonce=lambda: 7).retry(0, id_of_the_only_one(connection))

    ids = [id_ for id_, _ in connection.ask(command("XRANGE", STREAM, "-", "+"))]
    assert ids == [b"9999999999999-5", b"10000000000000-7"]


def test_a_full_redis_refuses_a_retry_and_loses_nothing(connection: Connection) -> None:
    """While Redis is full a retry is refused as a whole."""
    dead_lettered(connection, VALUES)
    dead_id = id_of_the_only_one(connection)
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    with pytest.raises(StorageUnavailableError):
        DeadLetters(connection).retry(0, dead_id)

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert id_of_the_only_one(connection) == dead_id
    assert_audit_balances(connection)


@pytest.mark.parametrize("name", [NAMES.audit, NAMES.dead, NAMES.backlog, NAMES.stream])
def test_a_foreign_key_in_the_place_of_ours_stops_a_retry(
    connection: Connection, name: str
) -> None:
    """A key of a wrong type at one of the names stops a retry, and is named."""
    dead_lettered(connection, VALUES)
    dead_id = id_of_the_only_one(connection)
    connection.ask(command("DEL", name))
    connection.ask(command("SET", name, "by hand"))

    with pytest.raises(StorageUnsoundError, match=re.escape(name)):
        DeadLetters(connection).retry(0, dead_id)
    if name != NAMES.dead:
        assert connection.ask(command("XLEN", NAMES.dead)) == 1


@pytest.mark.parametrize("name", ["appended", "accepted"])
def test_a_count_that_is_none_stops_a_retry(connection: Connection, name: str) -> None:
    """A count of the audit that is no number stops a retry before anything is written."""
    dead_lettered(connection, VALUES)
    dead_id = id_of_the_only_one(connection)
    connection.ask(command("HSET", NAMES.audit, name, "many"))

    with pytest.raises(StorageUnsoundError, match=re.escape(NAMES.audit)):
        DeadLetters(connection).retry(0, dead_id)
    assert connection.ask(command("XLEN", STREAM)) == 0
