"""A batch under an idempotency key is appended once, whatever lies in Redis by hand."""

import pytest

from metrics.connection import Connection, command
from metrics.errors import (
    IdempotencyConflictError,
    StorageUnavailableError,
)
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.keyspace import PartitionNames, partition_of
from metrics.stream import Appender
from tests.library.test_stream import MARK, entries_in
from tests.support.streams import append, audit_of, batch

pytestmark = pytest.mark.every_server

OTHER = IdempotencyKey("batch-2", "digest-2")


def registration_of(idempotency_key: IdempotencyKey) -> Reservation:
    """Return the reservation that a collector sends first for an idempotency key."""
    return Reservation(idempotency_key, 1.0, partitions=16, window_s=900)


def appender_of(connection: Connection) -> Appender:
    """Return an appender that sends together what came together."""
    return Appender(
        connection, ensure_layout=lambda: None, backlog_limit_entries=1000, window_s=900
    )


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
