"""Entries of many key-hours wait for their turn, and hold nobody else up."""

from metrics.backlog import NEW, Backlog
from metrics.connection import Connection
from metrics.entry import LARGE_COLUMNS, Column
from metrics.stream import Batch
from tests.conftest import Clock
from tests.support.aggregators import HASH, drain
from tests.support.streams import (
    HOUR,
    NEVER_LATE_S,
    append,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)
from workers.aggregator import Aggregator
from workers.large_entries import WAITING_MAX


def large(number: int) -> Batch:
    """Return a batch of one large entry, of keys of its own."""
    keys = range(LARGE_COLUMNS + 1)
    return Batch({0: [Column(f"{HOUR}:new-{number}-{i}", "1.0", 1) for i in keys]})


class Ticking:
    """A clock that goes on by a second at each look: each turn is over after one entry."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.seconds += 1.0
        return self.seconds


def aggregator_of(connection: Connection, consumer: str = "worker-1") -> Aggregator:
    """Return a worker on one partition that commits one large entry a round."""
    return Aggregator(
        Backlog(connection, consumer=consumer, retention_days=36500),
        ensure_layout=lambda: None,
        partitions=1,
        claim_s=1e6,
        lateness_s=NEVER_LATE_S,
        monotonic=Ticking(),
    )


def test_small_entries_are_committed_before_large_ones_that_came_first(
    connection: Connection,
) -> None:
    """A message behind many large entries is counted in the round in which it is read."""
    aggregator = aggregator_of(connection)
    append(connection, *(large(i) for i in range(4)))
    append(connection, batch())
    aggregator.run_once()

    assert aggregator.run_once() is True
    assert hash_of(connection, HASH)["count"] == "1"
    assert audit_of(connection)["length"] == 3

    append(connection, batch())
    aggregator.run_once()

    assert hash_of(connection, HASH)["count"] == "2"
    assert audit_of(connection)["length"] == 2
    drain(aggregator)
    assert audit_of(connection)["applied"] == 2 + 4 * (LARGE_COLUMNS + 1)
    assert_audit_balances(connection)


def test_what_is_large_does_not_lie_in_an_entry_with_what_is_small(connection: Connection) -> None:
    """Of requests that are appended together the large one has entries of its own."""
    append(connection, large(1), batch(), batch(key="checkout.web-2"))

    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups([0])
    entries = backlog.read({0: NEW}, 10)[0]

    assert isinstance(entries, list)
    assert sorted(len(each.fields or ()) // 2 for each in entries) == [2, LARGE_COLUMNS + 1]


def test_large_entries_that_wait_are_bounded(connection: Connection) -> None:
    """A worker reads no more of a partition while many large entries of it wait."""
    aggregator = aggregator_of(connection)
    aggregator.run_once()
    append(connection, *(large(i) for i in range(WAITING_MAX + 1)))
    aggregator.run_once()
    append(connection, batch())

    aggregator.run_once()
    assert not hash_of(connection, HASH)

    drain(aggregator)
    assert hash_of(connection, HASH)["count"] == "1"


def test_large_entries_that_wait_are_read_again_after_a_fault(connection: Connection) -> None:
    """What a worker has forgotten is still pending, and counts once."""
    aggregator = aggregator_of(connection)
    aggregator.run_once()
    append(connection, *(large(i) for i in range(3)))
    aggregator.run_once()

    aggregator.recover([0])
    drain(aggregator)

    assert audit_of(connection)["applied"] == 3 * (LARGE_COLUMNS + 1)
    assert_audit_balances(connection)


def test_large_entries_that_another_worker_has_taken_over_count_once(
    connection: Connection, clock: Clock
) -> None:
    """A worker whose waiting entries were claimed is refused, and goes on."""
    first = aggregator_of(connection)
    first.run_once()
    append(connection, *(large(i) for i in range(3)))
    first.run_once()
    backlog = Backlog(connection, consumer="worker-2", retention_days=36500)
    backlog.claim({0: b"0-0"}, 10, 0)
    append(connection, batch())

    drain(first)
    assert hash_of(connection, HASH)["count"] == "1"
    drain(aggregator_of(connection, "worker-2"))

    assert audit_of(connection)["applied"] == 1 + 3 * (LARGE_COLUMNS + 1)
    assert_audit_balances(connection)
