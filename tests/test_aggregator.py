"""The aggregator: whatever happens to entries, groups and workers, each message counts once."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from metrics.backlog import Backlog, Commit
from metrics.connection import Connection, command
from metrics.errors import LayoutError, MetricsError, StorageUnavailableError
from metrics.hours import Hour
from metrics.keyspace import GROUP, Partition
from metrics.layout import Layout
from tests.conftest import wait_until
from tests.streams import HOUR, append, assert_books_balance, batch, books_of, hash_of
from workers.aggregator import DELIVERIES_MAX, ENTRIES_MAX, Aggregator

PARTITIONS = 2
STREAM = Partition(0).stream
HASH = Partition(0).hour(f"{HOUR}:checkout.web-1")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """The clock of the claims."""
    return Clock()


def aggregator_of(
    connection: Connection, clock: Clock, consumer: str = "worker-1", claim_s: float = 30.0
) -> Aggregator:
    """Return a worker on all partitions."""
    layout = Layout(partitions=PARTITIONS)
    return Aggregator(
        Backlog(connection, consumer=consumer, retention_days=36500),
        agree=lambda: layout.agree(connection),
        partitions=PARTITIONS,
        claim_s=claim_s,
        now=lambda: float(Hour.parse(HOUR).end),
        monotonic=clock,
    )


def drain(aggregator: Aggregator, rounds: int = 4) -> None:
    """Let a worker do a few rounds, the first of which look for what is pending already."""
    for _ in range(rounds):
        aggregator.run_once()


def test_all_partitions_are_folded(connection: Connection, clock: Clock) -> None:
    """One worker is enough for all of them."""
    aggregator = aggregator_of(connection, clock)
    append(connection, batch([1.0, 2.0]), batch([3.0], partition=1))

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, Partition(1).hour(f"{HOUR}:checkout.web-1"))["count"] == "1"
    for partition in range(PARTITIONS):
        assert_books_balance(connection, partition)


def test_more_than_one_read_is_drained_without_a_pause(
    connection: Connection, clock: Clock
) -> None:
    """A full read means that there is more."""
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
    """So that no script holds Redis up for long; all of them count."""
    for _ in range(3):
        append(connection, *(batch(key=f"key-{i}") for i in range(1200)))
    drain(aggregator_of(connection, clock))

    assert books_of(connection)["applied"] == 3600
    assert hash_of(connection, Partition(0).hour(f"{HOUR}:key-1199"))["count"] == "3"
    assert_books_balance(connection)


def test_a_restarted_worker_finds_what_it_had_read(connection: Connection, clock: Clock) -> None:
    """Its name is the same, so it need not wait to claim from itself."""
    append(connection, batch())
    backlog = Backlog(connection, consumer="worker-1", retention_days=30)
    backlog.create_groups([0])
    backlog.read({0: b">"}, 10)

    drain(aggregator_of(connection, clock, "worker-1"))

    assert hash_of(connection, HASH)["count"] == "1"


def test_entries_of_a_dead_worker_are_taken_over(connection: Connection, clock: Clock) -> None:
    """Once they have been idle for as long as the setting says, however many there are."""
    for _ in range(ENTRIES_MAX * 2 + 3):
        append(connection, batch())
    dead = Backlog(connection, consumer="dead", retention_days=30)
    dead.create_groups([0, 1])
    dead.read({0: b">"}, 10_000)
    heir = aggregator_of(connection, clock, "heir", claim_s=0.0)
    heir.run_once()

    while books_of(connection)["length"]:
        heir.run_once()

    assert hash_of(connection, HASH)["count"] == str(ENTRIES_MAX * 2 + 3)
    assert_books_balance(connection)


class StallingBacklog(Backlog):
    """Stalls between reading and committing, while others go on."""

    def __init__(self, connection: Connection, meanwhile: Callable[[], object]) -> None:
        super().__init__(connection, consumer="zombie", retention_days=36500)
        self._meanwhile = meanwhile

    def commit(self, commits: Sequence[Commit], now: float) -> list[bool | MetricsError]:
        """Commit after all that happened meanwhile."""
        self._meanwhile()
        return super().commit(commits, now)


def test_a_commit_that_comes_too_late_is_refused(connection: Connection, clock: Clock) -> None:
    """A worker that stalled past the claim finds its entries counted, and goes on."""
    heir = aggregator_of(connection, clock, "heir", claim_s=0.0)
    zombie = Aggregator(
        StallingBacklog(connection, lambda: drain(heir)),
        agree=lambda: None,
        partitions=PARTITIONS,
        claim_s=30.0,
        monotonic=clock,
    )
    drain(zombie)
    for value in (1.0, 2.0):
        append(connection, batch([value]))
        drain(zombie)

    assert hash_of(connection, HASH)["count"] == "2"
    assert hash_of(connection, HASH)["sum"] == "3"
    assert_books_balance(connection)


def test_a_missing_group_is_created_again(connection: Connection, clock: Clock) -> None:
    """With all of the backlog, and nothing twice."""
    aggregator = aggregator_of(connection, clock)
    append(connection, batch())
    drain(aggregator)
    append(connection, batch())
    connection.ask(command("XGROUP", "DESTROY", STREAM, GROUP))

    drain(aggregator)

    assert hash_of(connection, HASH)["count"] == "2"


def test_a_deleted_stream_is_begun_again(connection: Connection, clock: Clock) -> None:
    """What was in it is lost, what comes is not."""
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
    """With the reason; its neighbours count as if it were not there."""
    append(connection, batch([1.0]))
    raw = [text.encode("utf-8", "surrogateescape") for text in fields]
    poison = connection.ask(command("XADD", STREAM, "*", *raw))
    append(connection, batch([2.0]))
    aggregator = aggregator_of(connection, clock, claim_s=0.001)

    drain(aggregator)
    assert hash_of(connection, HASH)["count"] == "2"
    assert connection.ask(command("XLEN", Partition(0).dead)) == 0
    claims = 0
    while connection.ask(command("XLEN", STREAM)):
        clock.seconds += 1
        drain(aggregator)
        claims += 1

    assert claims >= DELIVERIES_MAX - 1
    ((_, buried),) = connection.ask(command("XRANGE", Partition(0).dead, "-", "+"))
    assert buried[:3] == [b"id", poison, b"reason"]
    assert buried[4:] == raw
    assert connection.ask(command("XLEN", STREAM)) == 0
    assert connection.ask(command("XPENDING", STREAM, GROUP))[0] == 0
    assert hash_of(connection, Partition(0).audit)["dead"] == "1"


def test_a_hash_that_is_not_sound_holds_up_only_its_own_entries(
    connection: Connection, clock: Clock
) -> None:
    """They are buried with the reason, where they can be found again."""
    connection.ask(command("SET", HASH, "by hand"))
    append(connection, batch())
    append(connection, batch([7.0], key="another"))
    aggregator = aggregator_of(connection, clock, claim_s=0.001)

    while connection.ask(command("XLEN", STREAM)):
        clock.seconds += 1
        drain(aggregator)

    assert hash_of(connection, Partition(0).hour(f"{HOUR}:another"))["count"] == "1"
    assert connection.ask(command("XLEN", Partition(0).dead)) == 1
    assert_books_balance(connection)


def test_entries_that_somebody_deleted_do_not_stay_pending(
    connection: Connection, clock: Clock
) -> None:
    """Redis 6.2 would give them back for ever, without their ids."""
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


def test_workers_share_the_work(connection: Connection, clock: Clock) -> None:
    """Several of them count each message once."""
    workers = [aggregator_of(connection, clock, f"worker-{i}") for i in range(3)]
    for worker in workers:
        drain(worker)
    for _ in range(20):
        append(connection, batch([1.0], partition=0), batch([2.0], partition=1))
        for worker in workers:
            worker.run_once()

    assert books_of(connection, 0)["applied"] == books_of(connection, 1)["applied"] == 20
    assert hash_of(connection, HASH)["count"] == "20"


class Flaky:
    """Stands in front of a connection, and loses what it is told to lose."""

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
        """Pass on."""
        return self._connection.ask(call)


@pytest.mark.parametrize("fault", ["request", "reply"])
@pytest.mark.parametrize("at", range(12))
def test_a_fault_at_any_step_loses_and_doubles_nothing(
    connection: Connection, clock: Clock, fault: str, at: int
) -> None:
    """Whether Redis did what it was asked or not."""
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
    assert_books_balance(connection)


def test_a_worker_stops_when_it_is_asked_to(connection: Connection) -> None:
    """After the step that it is in."""
    aggregator = aggregator_of(connection, Clock())
    thread = threading.Thread(target=aggregator.run)
    thread.start()
    append(connection, batch())
    wait_until(lambda: hash_of(connection, HASH).get("count") == "1")

    aggregator.stop()
    thread.join(5)

    assert not thread.is_alive()


def test_a_worker_waits_for_a_redis_that_is_away(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """And goes on where it was."""
    flaky = Flaky(connection, iter(["request"] * 2))
    aggregator = aggregator_of(flaky, Clock())
    append(connection, batch())
    thread = threading.Thread(target=aggregator.run)
    with caplog.at_level(logging.ERROR):
        thread.start()
        wait_until(lambda: hash_of(connection, HASH).get("count") == "1")
        aggregator.stop()
        thread.join(5)

    assert "cannot go on, trying again: lost" in caplog.text


def test_a_worker_refuses_a_redis_of_another_layout(connection: Connection, clock: Clock) -> None:
    """It would read the wrong partitions."""
    Layout(partitions=PARTITIONS + 1).agree(connection)

    with pytest.raises(LayoutError, match="partitions is 2 here and 3 in Redis"):
        aggregator_of(connection, clock).run()
