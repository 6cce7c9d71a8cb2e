"""The aggregator goes on after it stalls, and after Redis is cut off at any step."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from metrics.backlog import Backlog, Commit, Exceptions
from metrics.connection import Connection
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.keyspace import PartitionNames
from ops.local.waiting import wait_until
from tests.conftest import Clock
from tests.support.aggregators import HASH, PARTITIONS, aggregator_of, drain
from tests.support.away import PartlyAway
from tests.support.streams import HOUR, NEVER_LATE_S, append, assert_audit_balances, batch, hash_of
from workers.aggregator import Aggregator
from workers.counters import Counters


class StallingBacklog(Backlog):
    """Stalls between reading and committing, while others go on."""

    def __init__(self, connection: Connection, meanwhile: Callable[[], object]) -> None:
        super().__init__(connection, consumer="zombie", retention_days=36500)
        self._meanwhile = meanwhile

    def commit(
        self, commits: Sequence[Commit], now: float
    ) -> list[bool | Exceptions | MetricsError]:
        """Commit after all that happened meanwhile."""
        self._meanwhile()
        return super().commit(commits, now)


def test_a_commit_that_comes_too_late_is_refused(connection: Connection, clock: Clock) -> None:
    """A worker that stalled past the claim has its commit refused; each message counts once."""
    heir = aggregator_of(connection, clock, "heir", claim_s=0.0)
    counters = Counters()
    zombie = Aggregator(
        StallingBacklog(connection, lambda: drain(heir)),
        ensure_layout=lambda: None,
        partitions=PARTITIONS,
        claim_s=30.0,
        lateness_s=NEVER_LATE_S,
        counters=counters,
        monotonic=clock,
    )
    drain(zombie)
    for value in (1.0, 2.0):
        append(connection, batch([value]))
        drain(zombie)

    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, HASH)["sum"] == "3"
    assert counters.commits_refused == 2
    assert_audit_balances(connection)


class Flaky:
    """Stands in front of a connection, and loses what its faults name."""

    def __init__(self, connection: Connection, faults: Iterator[str]) -> None:
        self._connection = connection
        self._faults = faults

    def execute(self, calls: list) -> list:
        """Lose the request, or the reply, or nothing."""
        fault = next(self._faults, "")
        if fault == "request":
            return [StorageUnavailableError("lost", stored="unknown")] * len(calls)
        replies = self._connection.execute(calls)
        if fault == "reply":
            return [StorageUnavailableError("lost", stored="unknown")] * len(calls)
        return replies

    def ask(self, call: object) -> object:
        """Pass a call on."""
        return self._connection.ask(call)


def test_partitions_that_are_away_stop_no_other(
    connection: Connection, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A partition that is away stops no other, and goes on without loss once it is back."""
    partly = PartlyAway(connection, [0])
    aggregator = aggregator_of(partly, clock)
    append(connection, batch([1.0]), batch([2.0], partition=1))
    drain(aggregator)
    assert hash_of(connection, PartitionNames(1).hour(f"{HOUR}:checkout.web-1"))["count"] == "1"
    assert hash_of(connection, HASH) == {}

    partly.away = {1}
    append(connection, batch([3.0]), batch([4.0], partition=1))
    drain(aggregator)
    assert hash_of(connection, HASH)["count"] == "2"

    partly.away = set()
    drain(aggregator)
    assert hash_of(connection, PartitionNames(1).hour(f"{HOUR}:checkout.web-1"))["count"] == "2"
    for partition in range(PARTITIONS):
        assert_audit_balances(connection, partition)


def test_a_worker_says_once_which_partitions_are_away(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker logs once which partitions are away, and that it goes on."""
    partly = PartlyAway(connection, [1])
    aggregator = aggregator_of(partly, Clock())
    thread = threading.Thread(target=aggregator.run)
    caplog.set_level(logging.INFO)
    thread.start()
    try:
        wait_until(lambda: "partitions 1 cannot go on, trying again: away" in caplog.text)
        append(connection, batch())
        wait_until(lambda: hash_of(connection, HASH).get("count") == "1")
        partly.away = set()
        wait_until(lambda: "going on" in caplog.text)
    finally:
        aggregator.stop()
        thread.join(60)

    assert caplog.text.count("cannot go on") == 1


@pytest.mark.parametrize("fault", ["request", "reply"])
@pytest.mark.parametrize("at", range(12))
def test_a_fault_at_any_step_loses_and_doubles_nothing(
    connection: Connection, clock: Clock, fault: str, at: int
) -> None:
    """A lost request or reply at any step loses and doubles no message."""
    flaky = Flaky(connection, iter([""] * at + [fault]))
    aggregator = aggregator_of(flaky, clock)
    for i in range(12):
        append(connection, batch([float(i)]))
        try:
            aggregator.run_once()
        except MetricsError:
            aggregator.recover(range(PARTITIONS))

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "12"
    assert hash_of(connection, HASH)["sum"] == "66"
    assert_audit_balances(connection)


def test_a_worker_waits_for_a_redis_that_is_away(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker logs that Redis is away, waits for it, and commits afterwards."""
    flaky = Flaky(connection, iter(["request"] * 6))
    aggregator = aggregator_of(flaky, Clock())
    append(connection, batch())
    thread = threading.Thread(target=aggregator.run)
    with caplog.at_level(logging.ERROR):
        thread.start()
        wait_until(lambda: hash_of(connection, HASH).get("count") == "1")
        aggregator.stop()
        thread.join(60)

    assert "cannot go on, trying again: lost" in caplog.text
