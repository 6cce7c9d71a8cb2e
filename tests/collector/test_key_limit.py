"""New keys are let in while there is room, however many processes let them in."""

from collections.abc import Callable
from threading import Thread

import pytest

from api.collector import key_limit
from api.collector.asked_keys import Asked
from api.collector.key_counts import NONE_REFUSED, KeysMax
from api.collector.key_limit import KeyLimit, TooManyAtOnceError
from api.collector.pace import BEHIND_S, HALVED_S, LEAST_PER_SECOND, LOOK_S, SAVED_UP_MAX, Pace
from metrics.connection import Connection, command
from metrics.errors import StorageUnavailableError
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, partition_of
from tests.conftest import Clock
from tests.support.away import PartlyAway

PARTITIONS = 2
HOUR = Hour.parse("2026-11-23T14")
DAY_S = 86_400


def limit_of(
    connection: Connection,
    keys_max: int,
    *,
    new_per_hour: int | None = None,
    pace: Pace | None = None,
    now: Callable[[], float] = lambda: float(HOUR.start),
    ensure_layout: Callable[[], None] = lambda: None,
) -> KeyLimit:
    """Return the limit of one process on two partitions, which keep keys for a day."""
    return KeyLimit(
        connection,
        ensure_layout=ensure_layout,
        partitions=PARTITIONS,
        keys_max=KeysMax(keys_max, new_per_hour),
        retention_days=1,
        pace=pace or Pace(1_000_000, 1_000_000),
        now=now,
    )


def names(count: int, prefix: str = "a") -> dict[str, Hour]:
    """Return keys, each with an hour of its messages."""
    return {f"{prefix}-{i}": HOUR for i in range(count)}


def test_keys_are_let_in_up_to_the_limit_and_known_ones_go_on(connection: Connection) -> None:
    """As many keys as the limit says are let in; others are refused, and those go on."""
    limit = limit_of(connection, 10)

    found = limit.let_in(names(12))

    assert len(found.keys) == 2
    assert "METRICS_KEYS_MAX (10)" in found.reason
    assert {key for key in names(12) if limit.is_unknown(key)} == found.keys
    assert limit.let_in(names(12)).keys == found.keys
    assert limit.count()[0] == 10


def test_processes_share_the_limit(connection: Connection) -> None:
    """A key that one process let in is known to another, and counts there."""
    one, other = limit_of(connection, 10), limit_of(connection, 10)

    first = one.let_in(names(6, "a"))
    second = other.let_in(names(6, "b") | names(1, "a"))

    assert first == NONE_REFUSED
    assert len(second.keys) == 2
    assert "a-0" not in second.keys


def test_processes_at_once_pass_the_limit_by_a_tenth_at_most(connection: Connection) -> None:
    """Four processes that let keys in at the same time pass the limit by 10 % at most."""
    keys_max = 200
    limits = [limit_of(connection, keys_max) for _ in range(4)]
    threads = [
        Thread(target=limit.let_in, args=[names(keys_max, str(i))])
        for i, limit in enumerate(limits)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keys_max <= limits[0].count()[0] <= 1.1 * keys_max


def test_few_are_let_in_between_two_counts(connection: Connection) -> None:
    """After each two hundredth of the limit all partitions are counted anew."""
    limit = limit_of(connection, 1_000)
    counts: list[int] = []
    once = limit._round

    def record(keys: dict[str, Hour], room: int) -> tuple[int, dict[str, Hour]]:
        found = once(keys, room)
        counts.append(limit.count()[0])
        return found

    limit._round = record  # type: ignore[method-assign]
    limit.let_in(names(20))

    assert counts == [0, 5, 10, 15, 20]


def test_requests_at_once_each_get_their_own_answer(connection: Connection) -> None:
    """Keys of requests that wait at the same time are asked for together, and told apart."""
    limit = limit_of(connection, 40)
    found: dict[int, frozenset[str]] = {}

    def ask(i: int) -> None:
        found[i] = limit.let_in(names(10, str(i))).keys

    threads = [Thread(target=ask, args=[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(found[i] <= names(10, str(i)).keys() for i in range(8))
    assert sum(map(len, found.values())) == 40
    assert limit.count()[0] == 40


def test_a_known_key_of_a_request_goes_on_among_any_number_of_new_ones(
    connection: Connection,
) -> None:
    """Where nothing more has room, all keys are asked for even so: some may be known."""
    limit_of(connection, 1).let_in(names(1, "known"))
    limit = limit_of(connection, 1)

    found = limit.let_in(names(3_000) | names(1, "known"))

    assert found.keys == names(3_000).keys()


def test_a_key_that_left_the_retention_makes_room(connection: Connection) -> None:
    """A key counts until its newest hour leaves the retention, and is new after that."""
    limit_of(connection, 1).let_in(names(1, "old"))
    later = limit_of(connection, 1, now=lambda: float(HOUR.start + DAY_S + 3600))

    found = later.let_in({"new-0": Hour.of(HOUR.start + DAY_S), "old-0": HOUR})

    assert found.keys == {"old-0"}
    assert later.count()[0] == 1


def test_keys_that_a_process_knows_are_asked_for_again(connection: Connection) -> None:
    """A process asks again for a key after ten minutes, as it may have left the retention."""
    limit = limit_of(connection, 10)
    limit.let_in(names(1))
    limit._known_until = limit._monotonic() - 1

    limit.let_in(names(1, "b"))

    assert limit.is_unknown("a-0")


def test_new_keys_are_paced(
    connection: Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More new keys than the pace allows wait; a request that waits too long comes again."""
    limit = limit_of(connection, 200_000, pace=Pace(500, 500, now=clock))
    limit._monotonic = clock
    slept: list[int] = []

    def sleep(seconds: float) -> None:
        slept.append(limit.count()[0])
        clock.seconds += seconds

    limit._sleep = sleep

    assert limit.let_in(names(1_300)) == NONE_REFUSED
    assert slept[0] == 1_000
    assert len(slept) >= 0.6 / key_limit.PAUSE_S

    monkeypatch.setattr(key_limit, "WAIT_S", 0.3)
    many = names(400, "b")
    with pytest.raises(TooManyAtOnceError, match="too many new keys come at once"):
        limit.let_in(many)
    with pytest.raises(TooManyAtOnceError):
        limit.let_in(many)
    assert limit.let_in(many) == NONE_REFUSED


@pytest.mark.parametrize("age_s", [0.0, 60.0])
def test_new_keys_wait_while_workers_are_behind(
    connection: Connection, clock: Clock, age_s: float
) -> None:
    """The pace halves at an old entry in the backlog, and not while entries are young."""
    pace = Pace(1_000, 1_000, now=clock)
    limit = limit_of(connection, 200_000, pace=pace)
    clock.seconds += HALVED_S
    now_s = int(connection.ask(command("TIME"))[0])
    entry = f"{int((now_s - age_s) * 1000)}-1" if age_s else "*"
    connection.ask(command("XADD", PartitionNames(1).stream, entry, f"{HOUR}:known", "1"))

    limit._round(names(1), 0)

    assert pace.per_second == (500 if age_s else 1_000)
    assert (pace.room() > 0) == (not age_s)


def test_the_backlog_is_looked_at_once_in_an_interval(connection: Connection, clock: Clock) -> None:
    """However many rounds there are, no more than one in an interval looks at the backlog."""
    pace = Pace(now=clock)
    looks = [pace.take_look() for _ in range(3)]
    clock.seconds += LOOK_S

    assert [*looks, pace.take_look(), pace.take_look()] == [True, False, False, True, False]


def test_the_pace_follows_the_backlog(clock: Clock) -> None:
    """It halves down to the least while workers are behind, and doubles again by and by."""
    pace = Pace(5_000, 20_000, now=clock)
    for _ in range(10):
        clock.seconds += HALVED_S
        pace.saw(BEHIND_S + 0.1)
    at_least = pace.per_second
    clock.seconds += 2
    pace.saw(BEHIND_S - 0.1)

    assert at_least == LEAST_PER_SECOND
    assert pace.per_second == 4 * LEAST_PER_SECOND
    clock.seconds += 100
    assert (pace.per_second, pace.room()) == (20_000, SAVED_UP_MAX)


def test_so_many_keys_are_new_in_an_hour(connection: Connection) -> None:
    """In an hour so many new keys are let in, by all processes together; in the next as many."""
    one, other = (limit_of(connection, 1_000, new_per_hour=10) for _ in range(2))

    assert one.let_in(names(6)) == NONE_REFUSED
    found = other.let_in(names(8, "b") | names(6))

    assert len(found.keys) == 4
    assert found.keys < names(8, "b").keys()
    assert "METRICS_NEW_KEYS_PER_HOUR (10)" in found.reason
    assert 3_600 <= found.retry_s <= 3_601
    assert one.count() == (10, 10)

    later = limit_of(connection, 1_000, new_per_hour=10, now=lambda: float(HOUR.end))
    assert len(later.let_in(names(12, "c")).keys) == 2
    assert later.count() == (20, 10)


def test_a_clock_that_is_days_ahead_keeps_no_new_key_out(connection: Connection) -> None:
    """An hour that is still to come counts for nothing, but for the next one: clocks differ."""
    ahead = limit_of(
        connection, 1_000, new_per_hour=3, now=lambda: float(Hour(HOUR.number + 72).start)
    )
    assert ahead.let_in(names(3)) == NONE_REFUSED

    assert limit_of(connection, 1_000, new_per_hour=3).let_in(names(3, "b")) == NONE_REFUSED


def test_processes_at_once_pass_the_new_keys_of_an_hour_by_a_tenth_at_most(
    connection: Connection,
) -> None:
    """Four processes that let keys in at the same time pass the limit by 10 % at most."""
    limits = [limit_of(connection, 100_000, new_per_hour=200) for _ in range(4)]
    threads = [
        Thread(target=limit.let_in, args=[names(200, str(i))]) for i, limit in enumerate(limits)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 200 <= limits[0].count()[1] <= 220


def test_small_requests_are_asked_for_before_large_ones(connection: Connection) -> None:
    """Of requests that wait the small ones come first."""
    limit = limit_of(connection, 10)
    large, small = Asked(names(900)), Asked(names(200, "b"))
    limit._waiting.extend((large, small))

    assert limit._next_round() == [small]
    assert limit._next_round() == [large]


@pytest.mark.parametrize("away", [[0], [0, 1]])
def test_a_partition_that_is_away_refuses_no_key(connection: Connection, away: list[int]) -> None:
    """Where Redis does not answer keys are let in and not remembered: the append says the rest."""
    limit = limit_of(PartlyAway(connection, away), 1)

    found = limit.let_in(names(8))

    there = {key for key in names(8) if partition_of(key, PARTITIONS) not in away}
    assert len(found.keys) == max(0, len(there) - 1)
    assert found.keys <= there


def test_a_wrong_type_is_named_in_the_log(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """What keeps keys from being counted is in the log by its name, once a minute."""
    for number in range(PARTITIONS):
        connection.ask(command("SET", PartitionNames(number).keys, "x"))
    limit = limit_of(connection, 1)

    assert limit.let_in(names(8)) == NONE_REFUSED
    limit.let_in(names(8))

    assert len(caplog.records) == PARTITIONS
    assert "not counted: UNSOUND metrics:{0}:keys" in caplog.text


def test_a_redis_that_is_anothers_is_not_written_to(connection: Connection) -> None:
    """No key is let in by writing to a Redis whose layout is another's."""

    def refuse() -> None:
        raise StorageUnavailableError("away")

    limit = limit_of(connection, 1, ensure_layout=refuse)

    assert limit.let_in(names(8)) == NONE_REFUSED
    assert connection.ask(command("DBSIZE")) == 0
