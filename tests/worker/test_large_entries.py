"""Entries of many key-hours wait for their turn, and hold nobody else up."""

import pytest

from metrics.backlog import NEW, Backlog
from metrics.connection import Connection
from metrics.entry import LARGE_COLUMNS, Column, PendingEntry
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
from workers import large_entries
from workers.aggregator import Aggregator
from workers.counters import Counters
from workers.large_entries import WAITING_MAX, LargeEntries


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


def aggregator_of(
    connection: Connection,
    consumer: str = "worker-1",
    *,
    claim_s: float = 1e6,
    counters: Counters | None = None,
) -> Aggregator:
    """Return a worker on one partition that commits one large entry a round."""
    return Aggregator(
        Backlog(connection, consumer=consumer, retention_days=36500),
        ensure_layout=lambda: None,
        partitions=1,
        claim_s=claim_s,
        counters=counters,
        lateness_s=NEVER_LATE_S,
        monotonic=Ticking(),
    )


@pytest.fixture(autouse=True)
def one_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a turn be one entry."""
    monkeypatch.setattr(large_entries, "RUN_COLUMNS_MAX", LARGE_COLUMNS)


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


def test_large_entries_of_the_same_keys_are_committed_together(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of a partition is one commit; each partition that waits has one in the same turn."""
    monkeypatch.setattr(large_entries, "RUN_COLUMNS_MAX", 3 * (LARGE_COLUMNS + 1))
    waiting = LargeEntries()
    entries = [PendingEntry(b"%d-0" % i, (b"k", b"1") * (LARGE_COLUMNS + 1)) for i in range(1, 6)]
    for partition in range(3):
        assert waiting.keep(partition, entries) == []

    sizes = []
    while waiting:
        sizes.append({partition: len(run) for partition, run in waiting.take().items()})
        waiting.took(0.0)

    assert sizes == [{0: 3}, {1: 3, 2: 3}, {0: 2, 1: 2, 2: 2}]


def test_a_worker_does_not_take_its_own_large_entries_for_those_of_another(
    connection: Connection,
) -> None:
    """What waits for its turn for longer than a claim takes is not counted as taken over."""
    counters = Counters()
    aggregator = aggregator_of(connection, claim_s=0.001, counters=counters)
    aggregator.run_once()
    append(connection, *(large(i) for i in range(4)))
    drain(aggregator)

    assert counters.entries_claimed == 0
    assert audit_of(connection)["applied"] == 4 * (LARGE_COLUMNS + 1)


def test_small_requests_together_make_no_large_entry(connection: Connection) -> None:
    """However many are appended at once, what each of them has waits for no large one."""
    keys = [f"small-{i}" for i in range(3 * (LARGE_COLUMNS - 10))]
    some = [keys[i::3] for i in range(3)]
    append(connection, *(Batch({0: [Column(f"{HOUR}:{k}", "1.0", 1) for k in ks]}) for ks in some))

    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups([0])
    entries = backlog.read({0: NEW}, 10)[0]

    assert isinstance(entries, list)
    assert max(len(each.fields or ()) // 2 for each in entries) <= LARGE_COLUMNS


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
