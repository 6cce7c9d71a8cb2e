"""A process's memory of the known keys equals what Redis has, whatever changes meanwhile."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import known_keys
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, partition_of
from metrics.known_keys import AGE_MAX_S, KnownKeys
from tests.conftest import Clock

FIRST, LAST = Hour.parse("2026-11-23T00"), Hour.parse("2026-11-23T23")
PARTITIONS = 2


class Counting(Connection):
    """A connection that notes what it was asked."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection._topology)
        self.commands: list[str] = []

    def execute(self, calls: list, *, replicas: int = 0) -> list:
        """Note the calls and pass them on."""
        self.commands += [call.arguments[0] for call in calls]
        return super().execute(calls, replicas=replicas)


def commit(connection: Connection, key: str, hour: int) -> None:
    """Store a key and its hour as a commit does."""
    name = PartitionNames(partition_of(key, PARTITIONS)).keys
    connection.ask(command("ZADD", name, "GT", Hour(FIRST.number + hour).digits, key))


def expire(connection: Connection, hour: int) -> None:
    """Remove the keys of old hours as commits do."""
    oldest = Hour(FIRST.number + hour).digits
    for number in range(PARTITIONS):
        connection.ask(
            command("ZREMRANGEBYSCORE", PartitionNames(number).keys, "-inf", f"({oldest}")
        )


KEYS = st.sampled_from([f"{app}.{n}" for app in ("a", "b") for n in range(12)])
STEPS = st.lists(
    st.one_of(st.tuples(KEYS, st.integers(0, 23)), st.integers(0, 23)), min_size=1, max_size=12
)


@given(st.lists(st.tuples(STEPS, st.sampled_from("ab"), st.integers(0, 23)), max_size=6))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_each_answer_is_what_redis_has_then(
    connection: Connection, rounds: list[tuple[list, str, int]]
) -> None:
    """Each answer equals what Redis has: new keys, returned keys, expired keys, and pages."""
    connection.ask(command("FLUSHALL"))
    known = KnownKeys(connection, partitions=PARTITIONS)
    truth: dict[str, int] = {}
    oldest = 0
    for steps, prefix, since in rounds:
        for step in steps:
            if isinstance(step, tuple):
                key, hour = step
                hour = max(hour, oldest)
                commit(connection, key, hour)
                truth[key] = max(truth.get(key, 0), hour)
            else:
                oldest = max(oldest, step)
                expire(connection, oldest)
                truth = {key: hour for key, hour in truth.items() if hour >= oldest}
        hours = {key: Hour(FIRST.number + hour) for key, hour in truth.items()}
        expected = [(key, hours[key]) for key in sorted(hours)]

        assert known.page([""], "", 100) == expected
        assert (
            known.page([prefix], f"{prefix}.11", 3)
            == [
                each for each in expected if each[0].startswith(prefix) and each[0] > f"{prefix}.11"
            ][:3]
        )
        first = Hour(FIRST.number + since)
        assert known.newest_hours(prefix, first, LAST, keys_max=100) == {
            key: hour.digits for key, hour in expected if key.startswith(prefix) and hour >= first
        }


def test_a_page_costs_by_its_length(connection: Connection) -> None:
    """After the first page a page costs at most four commands for each partition."""
    for number in range(PARTITIONS):
        keys = [key for key in map(str, range(5000)) if partition_of(key, PARTITIONS) == number]
        scores = [part for key in keys for part in (FIRST.digits, key)]
        connection.ask(command("ZADD", PartitionNames(number).keys, *scores))
    counting = Counting(connection)
    known = KnownKeys(counting, partitions=PARTITIONS)
    known.page([""], "", 10)
    assert "ZSCAN" in counting.commands
    counting.commands.clear()

    page = known.page([""], "3", 10)

    assert [key for key, _ in page] == sorted(key for key in map(str, range(5000)) if key > "3")[
        :10
    ]
    assert set(counting.commands) == {"ZCARD", "ZRANGE", "HGET", "ZMSCORE"}
    assert len(counting.commands) <= 4 * PARTITIONS


def test_only_the_partition_that_changed_is_read_again(connection: Connection) -> None:
    """A new key is in the next answer, and only its partition is read again."""
    for n in range(50):
        commit(connection, f"a.{n}", 3)
    counting = Counting(connection)
    known = KnownKeys(counting, partitions=PARTITIONS)
    known.page([""], "", 10)
    counting.commands.clear()

    commit(connection, "A", 3)

    assert known.page([""], "", 1) == [("A", Hour(FIRST.number + 3))]
    assert counting.commands.count("ZSCAN") == 1


def test_what_was_changed_by_hand_is_seen_after_a_while(
    connection: Connection, clock: Clock
) -> None:
    """A key that somebody puts in place of another is in the answer after AGE_MAX_S."""
    commit(connection, "a.0", 3)
    known = KnownKeys(connection, partitions=1, monotonic=clock)
    partition = PartitionNames(0).keys
    connection.ask(command("FLUSHALL"))
    connection.ask(command("ZADD", partition, FIRST.digits, "before", LAST.digits, "low"))
    assert [key for key, _ in known.page([""], "", 9)] == ["before", "low"]
    connection.ask(command("ZREM", partition, "low"))
    connection.ask(command("ZADD", partition, LAST.digits, "after"))

    clock.seconds += AGE_MAX_S + 1

    assert [key for key, _ in known.page([""], "", 9)] == ["after", "before"]


def test_a_partition_of_many_keys_is_read_in_pieces(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition of many keys is read in several pieces."""
    monkeypatch.setattr(known_keys, "KEYS_PER_REPLY", 100)
    for n in range(1000):
        commit(connection, f"a.{n}", 3)
    counting = Counting(connection)

    assert len(KnownKeys(counting, partitions=PARTITIONS).page([""], "", 2000)) == 1000
    assert counting.commands.count("ZSCAN") > 5
