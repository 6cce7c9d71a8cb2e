"""Hashes that somebody changed by hand give no wrong number, and the answer names them."""

from collections.abc import Mapping
from functools import reduce

import falcon.testing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.aggregate import Aggregate
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.merged import merged_of
from metrics.soundness import UnsoundHashError
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import add, client_of
from tests.support.clusters import PARTITIONS
from tests.support.fleets import fill
from tests.support.streams import HOUR

KEY = "checkout.a"
PARTITION = PartitionNames(partition_of(KEY, PARTITIONS))
NAME = PARTITION.hour(f"{HOUR}:{KEY}")
VALUES = [10.0, 20.0, 30.0, 100.0]
"""Their buckets are 117, 152, 172 and 233."""

HIGHEST = max(bucket for bucket, _ in Aggregate.of(VALUES).histogram)

TAMPERED: Mapping[str, dict[str, object]] = {
    "a negative sum": {"sum": -5},
    "a sum above count times max": {"sum": 401},
    "a sum below count times min": {"sum": 39},
    "a sum that the buckets cannot have": {"sum": 300},
    "an infinite sum": {"sum": "inf"},
    "a sum of 5,000 digits": {"sum": "9" * 5000},
    "a sum that is no text of ours": {"sum": "1_6_0"},
    "a max above all buckets": {"max": 1000},
    "a max below the highest bucket": {"max": 31},
    "a min below all buckets": {"min": 1},
    "a min above max": {"min": 101},
    "a negative min": {"min": -1},
    "a negative bucket": {f"b:{HIGHEST}": -1, "count": 2},
    "a bucket that outweighs a negative one": {f"b:{HIGHEST}": 2, "b:117": -1, "count": 3},
    "an empty bucket": {f"b:{HIGHEST + 1}": 0},
    "a bucket with a point": {f"b:{HIGHEST}": "1.0"},
    "a bucket that does not exist": {"b:99999999": 1, "count": 5},
    "a bucket between the tiny ones and the others": {"b:-40000": 1, "count": 5},
    "a bucket written twice": {f"b:0{HIGHEST}": 1, "count": 5},
    "a bucket without a number": {"b:": 1, "count": 5},
    "a count that is not that of the buckets": {"count": 5},
    "a count that is no number": {"count": "many"},
    "a count with an exponent": {"count": "4e0"},
    "a count with a sign": {"count": "+4"},
    "a count that no double holds": {"count": 2**53 + 2, f"b:{HIGHEST}": 2**53 - 1},
    "a foreign field": {"colour": "red"},
    "a foreign field with a number": {"kount": 4},
    "dropped of 5,000 digits": {"dropped": "9" * 5000},
    "a negative dropped": {"dropped": -1},
    "a late that is no number": {"late": "x"},
}


@pytest.fixture
def tampered_with(connection: Connection, request: pytest.FixtureRequest) -> Connection:
    """Return a connection to two keys of which one was changed by hand."""
    fill(connection, {KEY: VALUES, "checkout.b": VALUES})
    fields = [part for field in TAMPERED[request.param].items() for part in field]
    connection.ask(command("HSET", NAME, *fields))
    return connection


@pytest.mark.parametrize("tampered_with", TAMPERED, indirect=True)
def test_a_changed_hash_is_told_alike_however_it_is_asked(tampered_with: Connection) -> None:
    """A changed hash gives the same 500 with key and hour, alone, by day and by prefix."""
    client = client_of(tampered_with)
    problems = [
        assert_is_problem(client.simulate_get(path), 500)
        for path in (
            f"/{KEY}/max/2026-11-23/14",
            f"/{KEY}/sum/2026-11-23",
            "/checkout.*/count/2026-11-23/14",
            "/checkout.*/median/2026-11-23",
        )
    ]

    assert problems == [problems[0]] * 4
    assert problems[0]["detail"].startswith(f"the numbers of {KEY} in {HOUR} UTC are not sound: ")
    assert (problems[0]["key"], problems[0]["hour"]) == (KEY, HOUR)
    assert client.simulate_get("/checkout.b/max/2026-11-23/14").json["value"] == 100.0


@pytest.mark.parametrize("tampered_with", ["a negative sum"], indirect=True)
def test_the_log_names_the_hash_once_a_minute(
    tampered_with: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names an unsound hash once in five questions."""
    client = client_of(tampered_with)
    for _ in range(5):
        client.simulate_get("/checkout.*/count/2026-11-23/14")

    (record,) = [each for each in caplog.records if NAME in each.getMessage()]
    assert "sum" in record.getMessage()


def test_another_type_in_the_place_of_a_hash_is_told_as_well(connection: Connection) -> None:
    """Another type in place of a hash gives a 500 with key and hour."""
    fill(connection, {KEY: VALUES})
    connection.ask(command("DEL", NAME))
    connection.ask(command("SET", NAME, "x"))

    for path in (f"/{KEY}/max/2026-11-23/14", "/checkout.*/max/2026-11-23/14"):
        problem = assert_is_problem(client_of(connection).simulate_get(path), 500)
        assert (problem["key"], problem["hour"]) == (KEY, HOUR)
        assert "it is no hash" in problem["detail"]


def test_a_hash_larger_than_all_values_fill_is_told_and_not_read(connection: Connection) -> None:
    """A hash with more fields than a key-hour can have gives a 500 that names their number."""
    fill(connection, {KEY: VALUES})
    for first in range(0, 100_000, 10_000):
        pairs = [part for i in range(first, first + 10_000) for part in (f"f{i}", 1)]
        connection.ask(command("HSET", NAME, *pairs))

    problem = assert_is_problem(
        client_of(connection).simulate_get(f"/{KEY}/max/2026-11-23/14"), 500
    )
    assert "100008 fields are more than a key-hour can have" in problem["detail"]


@pytest.mark.parametrize("count", ["many", "-1", "1.5", "9" * 16, ""])
def test_a_backlog_that_was_changed_by_hand_is_named(connection: Connection, count: str) -> None:
    """A count of the backlog that is none makes each question of its hour a 503 that names it."""
    fill(connection, {KEY: VALUES})
    add(connection, VALUES, key=KEY)
    connection.ask(command("HSET", PARTITION.backlog, HOUR, count))
    client = client_of(connection, METRICS_WRITE_TOKENS="writer")
    answers = [
        client.simulate_get(path)
        for path in (
            f"/{KEY}/max/2026-11-23/14",
            f"/{KEY}/sum/2026-11-23",
            "/checkout.*/count/2026-11-23/14",
            "/export/prometheus",
        )
    ]
    answers.append(
        client.simulate_delete(f"/{KEY}/2026-11-23/14", headers={"Authorization": "Bearer writer"})
    )

    for each in answers:
        assert PARTITION.backlog in assert_is_problem(each, 503)["detail"]
    assert client.simulate_get(f"/{KEY}/max/2026-11-23/15").status_code == 404


ANY_VALUE = st.one_of(
    st.floats(0, allow_nan=False, allow_infinity=False),
    st.floats(0, 1e-300),
    st.floats(1e300, 1.7e308),
    st.integers(0, 10_000).map(lambda n: n * 5e-324),
    st.integers(-36_000, 35_800).map(lambda i: 1.02 ** (i / 1.0) if abs(i) < 35_000 else 1.0),
    st.sampled_from([0.0, 5e-324, 4.0474e-320, 1.7976931348623157e308, 1.02, 0.1]),
)
BATCH = st.lists(st.tuples(ANY_VALUE, st.integers(1, 10**9)), min_size=1, max_size=30)


def hash_of_batches(batches: list[list[tuple[float, int]]]) -> dict[bytes, bytes]:
    """Return the hash that workers make of batches of values and weights."""
    whole = reduce(
        Aggregate.merged_with,
        (
            Aggregate.of([value for value, _ in each], [weight for _, weight in each])
            for each in batches
        ),
    )
    fields = {name: getattr(whole, name) for name in ("count", "sum", "min", "max")}
    fields |= {f"b:{bucket}": count for bucket, count in whole.histogram}
    return {name.encode(): repr(value).encode() for name, value in fields.items()}


@given(st.lists(BATCH, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_what_commits_write_is_sound(batches: list[list[tuple[float, int]]]) -> None:
    """An aggregate of any values gives a sound hash, though sums are rounded."""
    fields = hash_of_batches(batches)

    found = merged_of(fields)

    assert found.count == int(fields[b"count"])


@given(st.lists(st.lists(ANY_VALUE, min_size=1, max_size=20), min_size=1, max_size=4))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_the_script_writes_is_sound(
    connection: Connection, batches: list[list[float]]
) -> None:
    """A hash that the commit script writes for any values is sound."""
    connection.ask(command("FLUSHALL"))
    for values in batches:
        fill(connection, {KEY: values})

    answer = client_of(connection).simulate_get(f"/{KEY}/count/2026-11-23/14")

    assert answer.json["value"] == sum(map(len, batches))


BY_HAND = st.one_of(
    st.tuples(
        st.sampled_from(["count", "sum", "min", "max", "dropped", "late", f"b:{HIGHEST}", "b:0"]),
        st.one_of(st.integers(-5, 500), st.integers(0, 2**70), st.floats()).map(str),
    ),
    st.tuples(st.integers(-40_000, 40_000).map("b:{}".format), st.integers(0, 5).map(str)),
    st.tuples(st.binary(max_size=8), st.binary(max_size=8)),
)


@pytest.fixture
def asking(connection: Connection) -> falcon.testing.TestClient:
    """Return a client that asks again and again."""
    return client_of(connection)


@given(st.lists(BY_HAND, min_size=1, max_size=2))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_written_by_hand_is_told_alike(
    connection: Connection,
    asking: falcon.testing.TestClient,
    fields: list[tuple[str | bytes, str | bytes]],
) -> None:
    """A hash with any fields has numbers that can be, or the same 500 however it is asked."""
    connection.ask(command("FLUSHALL"))
    fill(connection, {KEY: VALUES})
    connection.ask(command("HSET", NAME, *(part for field in fields for part in field)))

    alone = asking.simulate_get(f"/{KEY}/summary/2026-11-23/14")
    of_prefix = asking.simulate_get("/checkout.*/summary/2026-11-23/14")

    assert alone.status_code == of_prefix.status_code
    if alone.status_code == 200:
        assert alone.json["count"] == 4
        assert alone.json["min"] <= alone.json["median"] <= alone.json["max"]
        assert of_prefix.json["sum"] == alone.json["sum"]
    else:
        assert assert_is_problem(alone, 500) == assert_is_problem(of_prefix, 500)
        assert (alone.json["key"], alone.json["hour"]) == (KEY, HOUR)


@given(BATCH, st.data())
@settings(max_examples=60, deadline=None)
def test_a_count_that_is_off_by_one_is_found(
    batch: list[tuple[float, int]], data: st.DataObject
) -> None:
    """A count that is off by one, or a missing field, makes a hash unsound."""
    fields = hash_of_batches([batch])
    name = data.draw(st.sampled_from(sorted(fields)))
    changed = dict(fields)
    if name in (b"sum", b"min", b"max"):
        del changed[name]
    else:
        by = data.draw(st.sampled_from([-1, 1]))
        changed[name] = str(int(fields[name]) + by).encode()

    with pytest.raises(UnsoundHashError):
        merged_of(changed)
