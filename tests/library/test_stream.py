"""Appending: each batch counts at most once, with its fingerprint and its entries in one step."""

import pytest

from metrics.connection import Connection, command
from metrics.entry import TEXT_LENGTH_MAX, Column
from metrics.errors import (
    IdempotencyConflictError,
    StorageUnavailableError,
)
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.keyspace import PartitionNames, partition_of
from metrics.stream import Appender, Batch
from tests.support.streams import HOUR, append, assert_audit_balances, audit_of, batch, hash_of

pytestmark = pytest.mark.every_server

STREAM = PartitionNames(0).stream
MARK = IdempotencyKey("batch-1", "digest-1")
OTHER = IdempotencyKey("batch-2", "digest-2")


def registration_of(idempotency_key: IdempotencyKey) -> Reservation:
    """Return the reservation that a collector sends first for an idempotency key."""
    return Reservation(idempotency_key, 1.0, partitions=16, window_s=900)


def appender_of(connection: Connection) -> Appender:
    """Return an appender that sends together what came together."""
    return Appender(
        connection, ensure_layout=lambda: None, backlog_limit_entries=1000, window_s=900
    )


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


@pytest.mark.parametrize("together", [True, False])
def test_a_batch_with_a_mark_is_appended_once(connection: Connection, together: bool) -> None:
    """A batch with an idempotency key is appended once, in one group or in two."""
    again = batch(idempotency_key=MARK)

    if together:
        outcomes = append(connection, again, again, again)
    else:
        outcomes = [*append(connection, again), *append(connection, again)]

    assert set(outcomes) == {None}
    assert audit_of(connection)["accepted"] == 1
    assert len(entries_in(connection)) == 1


def test_a_mark_lives_as_long_as_the_dedupe_window(connection: Connection) -> None:
    """A batch that comes again makes its fingerprint live for the dedupe window again."""
    append(connection, batch(idempotency_key=MARK))
    connection.ask(command("EXPIRE", PartitionNames(0).seen("batch-1"), 5))

    append(connection, batch(idempotency_key=MARK))

    assert 890 < connection.ask(command("TTL", PartitionNames(0).seen("batch-1"))) <= 900


def test_a_mark_of_another_body_is_a_conflict(connection: Connection) -> None:
    """Another body under a used idempotency key is a conflict and is not appended."""
    append(connection, batch(idempotency_key=MARK))

    (error,) = append(
        connection, batch([2.0], idempotency_key=IdempotencyKey("batch-1", "digest-2"))
    )

    assert isinstance(error, IdempotencyConflictError)
    assert audit_of(connection)["accepted"] == 1


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


def reserve(connection: Connection, idempotency_key: IdempotencyKey, arrival: float) -> object:
    """Reserve an idempotency key as a collector does."""
    reservation = Reservation(idempotency_key, arrival, partitions=16, window_s=900)
    return reservation.read_replies(connection.execute(reservation.calls))


def test_the_first_arrival_under_an_idempotency_key_is_remembered(connection: Connection) -> None:
    """A reservation returns the first arrival under its idempotency key."""
    assert reserve(connection, MARK, 1795442399.5) == 1795442399.5
    assert reserve(connection, MARK, 1795442400.5) == 1795442399.5


def test_another_body_under_an_idempotency_key_is_found_before_it_is_appended(
    connection: Connection,
) -> None:
    """A reservation for another body under a used idempotency key is a conflict."""
    reserve(connection, MARK, 1.0)

    assert isinstance(
        reserve(connection, IdempotencyKey("batch-1", "other"), 2.0), IdempotencyConflictError
    )


def test_a_registration_counts_nothing_as_stored(connection: Connection) -> None:
    """A batch that was only reserved is appended when it comes."""
    reserve(connection, MARK, 1.0)

    assert append(connection, batch(idempotency_key=MARK)) == [None]
    assert audit_of(connection)["accepted"] == 1


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


def test_a_registration_is_refreshed_by_repetitions(connection: Connection) -> None:
    """A reservation lives for the dedupe window again after each repetition."""
    reserve(connection, MARK, 1.0)
    home_partition = PartitionNames(partition_of("batch-1", 16)).batch("batch-1")
    connection.ask(command("EXPIRE", home_partition, 5))

    reserve(connection, MARK, 2.0)

    assert connection.ask(command("TTL", home_partition)) > 800


@pytest.mark.parametrize("text", ["junk", "digest-1 abc", "digest-1 1e400", "digest-1 nan", ""])
def test_a_registration_that_somebody_made_by_hand_stops_its_own_request_alone(
    connection: Connection, text: str
) -> None:
    """An unsound reservation fails its own request with its name, and no other one."""
    home_partition = PartitionNames(partition_of("batch-1", 16)).batch("batch-1")
    connection.ask(command("SET", home_partition, text))
    outcomes = appender_of(connection).send(
        [registration_of(MARK), batch(), registration_of(OTHER)]
    )

    assert isinstance(outcomes[0], StorageUnavailableError)
    assert (outcomes[0].stored, home_partition in outcomes[0].public) == ("no", True)
    assert outcomes[1:] == [{}, 1.0]


def test_a_registration_of_a_wrong_type_is_named(connection: Connection) -> None:
    """An error about a reservation of a wrong type names its key."""
    home_partition = PartitionNames(partition_of("batch-1", 16)).batch("batch-1")
    connection.ask(command("HSET", home_partition, "a", "b"))
    outcomes = appender_of(connection).send([registration_of(MARK), batch()])

    assert isinstance(outcomes[0], StorageUnavailableError)
    assert home_partition in str(outcomes[0])
    assert outcomes[1] == {}


def test_a_mark_of_a_wrong_type_stops_its_own_batch_alone(connection: Connection) -> None:
    """A fingerprint of a wrong type fails its own batch with its name, and no other one."""
    name = PartitionNames(0).seen("batch-1")
    connection.ask(command("HSET", name, "a", "b"))

    first, second, third = append(
        connection, batch(idempotency_key=MARK), batch(idempotency_key=OTHER), batch()
    )

    assert isinstance(first, StorageUnavailableError)
    assert (first.stored, name in first.public) == ("no", True)
    assert (second, third) == (None, None)
    assert audit_of(connection)["accepted"] == 2


def test_a_mark_of_an_earlier_version_is_one(connection: Connection) -> None:
    """A digest that an earlier version stored as text is known as a fingerprint."""
    connection.ask(command("SET", PartitionNames(0).seen("batch-1"), "0123456789abcdef" * 2))

    assert append(connection, batch(idempotency_key=MARK)) == [None]
    assert audit_of(connection)["accepted"] == 0


def test_a_mark_is_kept_as_a_number(connection: Connection) -> None:
    """A fingerprint is stored as a number below 2**56."""
    append(connection, batch(idempotency_key=IdempotencyKey("batch-1", "f" * 32)))

    kept = connection.ask(command("GET", PartitionNames(0).seen("batch-1")))
    assert 0 <= int(kept) < 2**56


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
