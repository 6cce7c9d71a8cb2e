"""Appending: each batch counts at most once, with its fingerprint and its entries in one step."""

import pytest

from metrics.connection import Connection, command
from metrics.entry import TEXT_LENGTH_MAX, Column
from metrics.errors import (
    StorageUnavailableError,
)
from metrics.idempotency import IdempotencyKey
from metrics.keyspace import PartitionNames
from metrics.stream import Batch
from tests.support.streams import HOUR, append, assert_audit_balances, audit_of, batch, hash_of

pytestmark = pytest.mark.every_server

STREAM = PartitionNames(0).stream
MARK = IdempotencyKey("batch-1", "digest-1")


def entries_in(connection: Connection, stream: str = STREAM) -> list[list[str]]:
    """Return the fields of the entries of a stream."""
    return [
        [text.decode() for text in fields]
        for _, fields in connection.ask(command("XRANGE", stream, "-", "+"))
    ]


def test_an_entry_is_legible(connection: Connection) -> None:
    """An entry shows hour, key and values as text."""
    assert append(connection, batch([123.4, 98.1])) == [None]

    assert entries_in(connection) == [[f"{HOUR}:checkout.web-1", "123.4,98.1"]]
    assert hash_of(connection, PartitionNames(0).backlog) == {HOUR: "1"}
    assert audit_of(connection) == {
        "appended": 1, "committed": 0, "dead": 0,
        "accepted": 2, "applied": 0, "dead_messages": 0, "length": 1,
    }  # fmt: skip


def test_batches_that_are_appended_together_share_an_entry(connection: Connection) -> None:
    """Batches that are appended together share an entry."""
    outcomes = append(connection, batch([1.0]), batch([2.0]), batch([3.0], key="other"))

    assert outcomes == [None, None, None]
    assert entries_in(connection) == [[f"{HOUR}:checkout.web-1", "1.0,2.0", f"{HOUR}:other", "3.0"]]
    assert_audit_balances(connection)


def test_a_batch_may_touch_several_partitions(connection: Connection) -> None:
    """A batch of several partitions has its entries, fingerprint and audit in each of them."""
    both = Batch({0: batch().columns[0], 3: batch([2.0, 3.0]).columns[0]}, MARK)

    assert append(connection, both) == [None]

    assert audit_of(connection, 0)["accepted"] == 1
    assert audit_of(connection, 3)["accepted"] == 2
    for partition in (PartitionNames(0), PartitionNames(3)):
        idempotency_key = connection.ask(command("GET", partition.seen("batch-1")))
        assert idempotency_key == str(MARK.fingerprint).encode()


def test_a_large_batch_becomes_several_entries(connection: Connection) -> None:
    """A large batch becomes several entries, with every value in order."""
    text = ",".join(["123.4"] * 20_000)

    assert append(connection, Batch({0: [Column(f"{HOUR}:a", text, 20_000)]}, MARK)) == [None]

    entries = entries_in(connection)
    assert len(entries) == 4
    assert all(len(values) <= TEXT_LENGTH_MAX for _, values in entries)
    assert ",".join(values for _, values in entries) == text
    assert hash_of(connection, PartitionNames(0).backlog) == {HOUR: "4"}
    assert_audit_balances(connection)


def test_a_full_backlog_takes_nothing_more_and_trims_nothing(connection: Connection) -> None:
    """A full backlog takes no new batch, and still answers one that is stored as before."""
    assert append(connection, batch(idempotency_key=MARK), limit=1) == [None]

    full, known = append(
        connection,
        batch(idempotency_key=IdempotencyKey("batch-2", "body_digest")),
        batch(idempotency_key=MARK),
        limit=1,
    )

    assert str(full) == "the backlog of partition 0 is at its limit"
    assert isinstance(full, StorageUnavailableError)
    assert full.stored == "no"
    assert known is None
    assert connection.ask(command("EXISTS", PartitionNames(0).seen("batch-2"))) == 0
    assert audit_of(connection)["length"] == 1


def test_part_of_a_batch_in_a_full_partition_leaves_it_unknown(connection: Connection) -> None:
    """A batch of which one partition is full is unknown; sent again, each part counts once."""
    append(connection, batch(partition=3))
    both = Batch({0: batch().columns[0], 3: batch().columns[0]}, MARK)

    (error,) = append(connection, both, limit=1)

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "unknown"
    assert append(connection, both) == [None]
    assert audit_of(connection, 0)["accepted"] == 1
    assert audit_of(connection, 3)["accepted"] == 2


def test_out_of_memory_appends_nothing_and_leaves_no_mark(connection: Connection) -> None:
    """A Redis without memory appends nothing and keeps no fingerprint of a new batch."""
    append(connection, batch(idempotency_key=MARK))
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    outcomes = append(
        connection,
        batch(idempotency_key=MARK),
        batch(idempotency_key=IdempotencyKey("batch-2", "d")),
        batch(),
    )

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert [getattr(outcome, "stored", None) for outcome in outcomes] == ["no", "no", "no"]
    assert connection.ask(command("EXISTS", PartitionNames(0).seen("batch-2"))) == 0
    assert audit_of(connection)["accepted"] == 1
    assert_audit_balances(connection)


@pytest.mark.parametrize("name", [STREAM, PartitionNames(0).audit, PartitionNames(0).backlog])
def test_a_foreign_key_in_our_place_changes_nothing(connection: Connection, name: str) -> None:
    """A foreign key in place of one that an append needs stops it before any write."""
    connection.ask(command("SET", name, "by hand"))

    (error,) = append(connection, batch(idempotency_key=MARK))

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"
    assert connection.ask(command("DBSIZE")) == 1


def test_an_audit_that_has_no_numbers_changes_nothing(connection: Connection) -> None:
    """An audit with a count that is no number stops an append before any write."""
    connection.ask(command("HSET", PartitionNames(0).audit, "accepted", "many"))

    (error,) = append(connection, batch(idempotency_key=MARK))

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"
    assert connection.ask(command("DBSIZE")) == 1


def test_an_audit_near_overflow_changes_nothing(connection: Connection) -> None:
    """An audit whose count would overflow stops an append before any write."""
    connection.ask(command("HSET", PartitionNames(0).audit, "appended", "9" * 19))

    (error,) = append(connection, batch())

    assert isinstance(error, StorageUnavailableError)
    assert connection.ask(command("EXISTS", STREAM)) == 0


def test_part_of_a_batch_in_an_unsound_partition_leaves_it_unknown(connection: Connection) -> None:
    """A batch of which one partition is unsound is an error with `stored: unknown`."""
    connection.ask(command("SET", PartitionNames(3).audit, "by hand"))

    (error,) = append(connection, Batch({0: batch().columns[0], 3: batch().columns[0]}))

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "unknown"


def ids_in(connection: Connection) -> list[tuple[int, int]]:
    """Return the ids of the entries of a stream, as they are ordered."""
    found = connection.ask(command("XRANGE", STREAM, "-", "+"))
    return [tuple(map(int, id_.split(b"-"))) for id_, _ in found]


def test_an_id_never_comes_again(connection: Connection) -> None:
    """The ids of entries never come again, even after their stream was deleted."""
    lost = set()
    for _ in range(50):
        append(connection, batch())
        lost |= {number for _, number in ids_in(connection)}
        connection.ask(command("DEL", STREAM))

    assert len(lost) == 50


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000])
def test_ids_grow_whatever_the_clock_of_redis_does(connection: Connection, ahead_ms: int) -> None:
    """Ids of entries grow, also within a millisecond and behind a clock that was ahead."""
    seconds, microseconds = connection.ask(command("TIME"))
    newest = int(seconds) * 1000 + int(microseconds) // 1000 + ahead_ms
    connection.ask(command("XADD", STREAM, f"{newest}-{2**48}", "by", "hand"))
    for _ in range(300):
        assert append(connection, batch(), batch(idempotency_key=IdempotencyKey("x", "y"))) == [
            None,
            None,
        ]

    ids = ids_in(connection)
    assert len(ids) == 302
    assert ids == sorted(ids)
    if ahead_ms:
        assert {ms for ms, _ in ids} == {newest}


def test_the_greatest_id_there_is_does_not_end_a_stream(connection: Connection) -> None:
    """After an id by hand with the greatest number, entries go on in the next millisecond."""
    connection.ask(command("XADD", STREAM, f"99999999999999-{2**64 - 2}", "by", "hand"))

    assert append(connection, batch(), batch()) == [None, None]
    assert append(connection, batch()) == [None]

    ids = ids_in(connection)
    assert ids == sorted(ids)
    assert len(ids) == 3
