"""Each message counts once, whatever happens to entries, groups and workers."""

import threading

import pytest

from metrics.backlog import Backlog
from metrics.connection import Connection, command
from metrics.errors import LayoutError
from metrics.keyspace import PartitionNames
from metrics.layout import Layout
from ops.local.waiting import wait_until
from tests.conftest import Clock
from tests.support.aggregators import HASH, PARTITIONS, STREAM, aggregator_of, drain
from tests.support.streams import (
    HOUR,
    NEVER_LATE_S,
    append,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)
from workers.aggregator import ENTRIES_MAX, Aggregator, linger_s
from workers.counters import Counters


def test_all_partitions_are_folded(connection: Connection, clock: Clock) -> None:
    """One worker folds the entries of all partitions."""
    aggregator = aggregator_of(connection, clock)
    append(connection, batch([1.0, 2.0]), batch([3.0], partition=1))

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, PartitionNames(1).hour(f"{HOUR}:checkout.web-1"))["count"] == "1"
    for partition in range(PARTITIONS):
        assert_audit_balances(connection, partition)


def test_a_worker_counts_what_it_does(connection: Connection, clock: Clock) -> None:
    """A worker counts its commits, entries, messages, claims and dead letters."""
    counters = Counters()
    aggregator = Aggregator(
        Backlog(connection, consumer="worker-1", retention_days=36500),
        ensure_layout=lambda: None,
        partitions=PARTITIONS,
        claim_s=0.0,
        lateness_s=NEVER_LATE_S,
        counters=counters,
    )
    append(connection, batch([1.0, 2.0]), batch([3.0], partition=1))
    connection.ask(command("XADD", STREAM, "*", "not", "ours"))
    while audit_of(connection)["length"]:
        aggregator.run_once()

    assert (counters.commits, counters.entries_committed, counters.messages_committed) == (2, 2, 3)
    assert counters.commits_refused == 0
    assert counters.entries_dead_lettered == 1
    assert counters.entries_claimed >= 1


def test_more_than_one_read_is_drained_without_a_pause(
    connection: Connection, clock: Clock
) -> None:
    """A worker reads again without a pause after a full read."""
    for _ in range(ENTRIES_MAX + 5):
        append(connection, batch())
    aggregator = aggregator_of(connection, clock)
    aggregator.run_once()

    assert aggregator.run_once() is True
    assert aggregator.run_once() is False
    assert hash_of(connection, HASH)["count"] == str(ENTRIES_MAX + 5)


def test_many_keys_in_many_entries_take_several_commits(
    connection: Connection, clock: Clock
) -> None:
    """Many keys in many entries are all committed, and the audit balances."""
    for _ in range(3):
        append(connection, *(batch(key=f"key-{i}") for i in range(1200)))
    drain(aggregator_of(connection, clock))

    assert audit_of(connection)["applied"] == 3600
    assert hash_of(connection, PartitionNames(0).hour(f"{HOUR}:key-1199"))["count"] == "3"
    assert_audit_balances(connection)


def test_workers_share_the_work(connection: Connection, clock: Clock) -> None:
    """Three workers together count each message once."""
    workers = [aggregator_of(connection, clock, f"worker-{i}") for i in range(3)]
    for worker in workers:
        drain(worker)
    for _ in range(20):
        append(connection, batch([1.0], partition=0), batch([2.0], partition=1))
        for worker in workers:
            worker.run_once()

    assert audit_of(connection, 0)["applied"] == audit_of(connection, 1)["applied"] == 20
    assert hash_of(connection, HASH)["count"] == "20"


def test_a_worker_stops_when_it_is_asked_to(connection: Connection) -> None:
    """A worker's run() returns after stop()."""
    aggregator = aggregator_of(connection, Clock())
    thread = threading.Thread(target=aggregator.run)
    thread.start()
    append(connection, batch())
    wait_until(lambda: hash_of(connection, HASH).get("count") == "1")

    aggregator.stop()
    thread.join(60)

    assert not thread.is_alive()


def test_a_worker_refuses_a_redis_of_another_layout(connection: Connection, clock: Clock) -> None:
    """A worker does not run on a Redis of another layout."""
    Layout(connection, partitions=PARTITIONS + 1).ensure()

    with pytest.raises(LayoutError, match="partitions is 2 here and 3 in Redis"):
        aggregator_of(connection, clock).run()


@pytest.mark.parametrize(("busy_s", "pause_s"), [(0, 0.1), (0.02, 0.1), (0.05, 0.15), (9, 0.2)])
def test_the_busier_a_worker_is_the_more_it_lets_come_together(
    busy_s: float, pause_s: float
) -> None:
    """A worker lingers longer the busier it is, within limits."""
    assert linger_s(busy_s) == pytest.approx(pause_s)


def test_a_worker_pauses_by_the_time_that_its_round_took(
    connection: Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker pauses by the time that its round took, and not at all if there is more to read."""
    aggregator = aggregator_of(connection, clock)
    rounds = iter([(0.04, False), (2.0, True), (0.0, False)])
    pauses: list[float] = []

    def run_once() -> bool:
        took_s, is_more = next(rounds)
        clock.seconds += took_s
        return is_more

    def wait(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            aggregator.stop()

    monkeypatch.setattr(aggregator, "run_once", run_once)
    monkeypatch.setattr(aggregator._stopping, "wait", wait)
    aggregator.run()

    assert pauses == pytest.approx([0.12, 0.0, 0.1])


def test_a_commit_of_very_many_buckets_is_split(connection: Connection, clock: Clock) -> None:
    """Entries with more buckets than one command can hold are all committed."""
    values = [10.0 ** (i / 20 - 300) for i in range(4_000)]
    for i in range(30):
        append(connection, batch(values, key=f"wide-{i}"))

    drain(aggregator_of(connection, clock))

    assert audit_of(connection)["applied"] == 120_000
    assert_audit_balances(connection)


def test_a_worker_starts_and_drains_while_redis_is_out_of_memory(
    connection: Connection, clock: Clock
) -> None:
    """A new worker commits the backlog while Redis is out of memory."""
    drain(aggregator_of(connection, clock))
    append(connection, batch())
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    drain(aggregator_of(connection, clock, "newcomer"))

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert hash_of(connection, HASH)["count"] == "1"
