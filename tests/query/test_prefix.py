"""A key that ends in ``*`` asks for all keys with that prefix, with a real Redis."""

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from unittest.mock import ANY

import falcon.testing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import key_hours, store
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from ops.local.redis_cluster import RedisCluster
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import AFTER, client_of
from tests.support.away import PartlyAway
from tests.support.clusters import PARTITIONS
from tests.support.fleets import commit_all, fill, fleet
from tests.support.streams import HOUR, append, batch

PATH = "/checkout.*/{}/2026-11-23/14"


def ask(connection: Connection, stat: str = "count", path: str = PATH) -> falcon.testing.Result:
    """Ask for a statistic of the fleet in the hour."""
    return client_of(connection).simulate_get(path.format(stat))


def drop(connection: Connection, key: str, count: int) -> None:
    """Add dropped messages to the hash of a key."""
    name = PartitionNames(partition_of(key, PARTITIONS)).hour(f"{HOUR}:{key}")
    connection.ask(command("HINCRBY", name, "dropped", count))


def test_it_is_the_statistic_of_all_values_together(connection: Connection) -> None:
    """A prefix's statistic is that of all values of its keys together."""
    fill(connection, {"checkout.a": [1, 2, 3], "checkout.b": [100], "checkou": [7], "other": [9]})

    result = ask(connection, "average")

    assert (result.status_code, result.json) == (
        200,
        {
            "key": "checkout.*",
            "stat": "average",
            "date": "2026-11-23",
            "hour": 14,
            "value": 26.5,
            "count": 4,
            "keys": 2,
            "complete": True,
            "as_of": ANY,
        },
    )
    assert ask(connection, "max", "/*/{}/2026-11-23/14").json["keys"] == 4
    assert ask(connection, "max", "/checkout.a*/{}/2026-11-23/14").json["value"] == 3
    assert ask(connection, "max", "/checkout.%2A/{}/2026-11-23/14").json["value"] == 100


@given(
    groups=st.lists(
        st.lists(st.floats(1e-3, 1e9), min_size=2, max_size=30), min_size=1, max_size=12
    )
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_percentile_is_within_1_percent(
    connection: Connection, groups: Sequence[Sequence[float]]
) -> None:
    """A prefix's percentiles are within 1 % of the true ones, however the values are spread."""
    connection.ask(command("FLUSHALL"))
    fill(connection, {f"checkout.web-{i}": values for i, values in enumerate(groups)})
    values = [value for group in groups for value in group]

    cuts = statistics.quantiles(values, n=100, method="inclusive")
    for percent in (1, 25, 50, 90, 99):
        found = ask(connection, f"p{percent}").json["value"]
        assert found == pytest.approx(cuts[percent - 1], rel=0.01)
    assert ask(connection).json["value"] == len(values)
    assert ask(connection, "p0").json["value"] == min(values)
    assert ask(connection, "p100").json["value"] == max(values)
    assert ask(connection, "sum").json["value"] == pytest.approx(sum(values), rel=1e-9)


def test_keys_of_more_than_one_reply_are_all_counted(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys of a prefix count, although their hashes take several replies."""
    monkeypatch.setattr(key_hours, "FIELDS_PER_REPLY", 7)
    keys = fleet(50)
    fill(connection, {key: [float(i)] for i, key in enumerate(keys)})

    found = ask(connection, "sum").json

    assert (found["value"], found["count"], found["keys"]) == (sum(range(50)), 50, 50)


def test_a_prefix_without_messages_in_the_hour_is_404(connection: Connection) -> None:
    """A prefix without messages in the hour gives a 404 that has the number dropped."""
    fill(connection, {"checkout.a": [1.0]}, hour="2026-11-23T13")
    fill(connection, {"checkout.b": [1.0]}, hour="2026-11-23T15")

    problem = assert_is_problem(ask(connection), 404)
    assert problem["detail"] == "no messages of checkout.* in 2026-11-23T14 UTC"
    drop(connection, "checkout.b", 5)
    assert assert_is_problem(ask(connection), 404)["dropped"] == 5


def test_what_was_dropped_is_added_up(connection: Connection) -> None:
    """Dropped messages of a prefix are added up, and `keys` counts only keys with messages."""
    fill(connection, {"checkout.a": [1.0], "checkout.b": [2.0]})
    fill(connection, {"checkout.c": [1.0]}, hour="2026-11-23T15")
    drop(connection, "checkout.b", 5)
    drop(connection, "checkout.c", 7)

    found = ask(connection).json

    assert (found["count"], found["dropped"], found["keys"]) == (2, 12, 2)
    assert list(found)[-5:] == ["count", "dropped", "keys", "complete", "as_of"]


def test_a_backlog_of_the_hour_in_any_partition_makes_it_incomplete(connection: Connection) -> None:
    """A backlog of the hour in any partition makes a prefix's answer incomplete."""
    fill(connection, {"checkout.a": [1.0]})
    number = (partition_of("checkout.a", PARTITIONS) + 1) % PARTITIONS

    append(connection, batch(hour="2026-11-23T15", partition=number))
    assert ask(connection).json["complete"] is True
    append(connection, batch(partition=number))
    assert ask(connection).json["complete"] is False
    running = client_of(connection, AFTER - 1).simulate_get(PATH.format("count"))
    assert running.json["complete"] is False


@pytest.mark.parametrize("prefix", ["-", "a b", "a*", "a%3F", "[a]", "x" * 129])
def test_a_prefix_that_begins_no_key_is_a_bad_request(connection: Connection, prefix: str) -> None:
    """A prefix that can begin no key gives a 400."""
    result = client_of(connection).simulate_get(f"/{prefix}*/max/2026-11-23/14")

    assert assert_is_problem(result, 400)["detail"].startswith("prefix must be empty or the")


def test_a_question_that_touches_too_much_is_a_bad_request(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prefix that touches too many key-hours gives a 400 that says what to ask instead."""
    monkeypatch.setattr(store, "KEY_HOURS_MAX", 3)
    keys = fleet(4)
    fill(connection, {key: [1.0] for key in keys[:3]})
    fill(connection, {keys[3]: [1.0]}, hour="2026-11-23T13")
    assert ask(connection).status_code == 200

    fill(connection, {keys[3]: [1.0]})

    detail = assert_is_problem(ask(connection), 400)["detail"]
    assert detail == (
        "checkout.* touches 4 key-hours and one question may touch 3: ask for a longer prefix"
    )


def test_a_token_must_cover_the_whole_prefix(connection: Connection) -> None:
    """A prefix needs a token that covers all of it, else the answer is 403."""
    fill(connection, {"checkout.a": [1.0]})
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=teller")
    teller = {"Authorization": "Bearer teller"}

    for prefix, status in {"checkout.": 200, "checkout.a": 200, "checkout": 403, "": 403}.items():
        result = client.simulate_get(f"/{prefix}*/max/2026-11-23/14", headers=teller)
        assert result.status_code == status, prefix
    assert_is_problem(client.simulate_get(PATH.format("max")), 401)


def test_it_is_cached_as_the_answer_of_one_key_is(connection: Connection) -> None:
    """A prefix's complete answer has ETag, 304, Cache-Control and HEAD like that of a key."""
    fill(connection, {"checkout.a": [1.0]})
    client = client_of(connection)
    first = client.simulate_get(PATH.format("max"))
    again = client.simulate_get(
        PATH.format("max"), headers={"If-None-Match": first.headers["ETag"]}
    )

    assert first.headers["Cache-Control"] == "public, max-age=60"
    assert (again.status_code, again.content) == (304, b"")
    head = client.simulate_head(PATH.format("max"))
    assert (head.status_code, head.content) == (200, b"")


def test_with_a_partition_away_there_is_no_half_answer(connection: Connection) -> None:
    """A prefix gives a 503 while any partition is away."""
    fill(connection, {"checkout.a": [1.0]})
    away = (partition_of("checkout.a", PARTITIONS) + 1) % PARTITIONS

    result = ask(PartlyAway(connection, [away]))

    assert_is_problem(result, 503)
    assert result.headers["Retry-After"] == "1"


@pytest.fixture
def cluster_connection(redis_cluster: RedisCluster) -> Iterator[Connection]:
    """Yield a connection to a cluster of three masters."""
    connection = Connection.open(redis_cluster.url, timeout_s=5, connections_max=2)
    yield connection
    connection.close()


def test_keys_of_all_masters_of_a_cluster_are_merged(
    cluster_connection: Connection, redis_cluster: RedisCluster
) -> None:
    """A prefix's answer merges the keys of all masters of a cluster."""
    seeded = random.Random(5)
    values: Mapping[str, list[float]] = {
        key: [seeded.lognormvariate(4, 1) for _ in range(20)] for key in fleet(100)
    }
    fill(cluster_connection, values)
    names = {cluster_connection.node_name_of(PartitionNames(n).stream) for n in range(PARTITIONS)}

    found = ask(cluster_connection, "median").json

    assert len(names) == 3
    assert (found["count"], found["keys"], found["complete"]) == (2000, 100, True)
    true = statistics.median(value for group in values.values() for value in group)
    assert found["value"] == pytest.approx(true, rel=0.01)


def test_a_fleet_in_the_backlog_counts_once_it_is_committed(connection: Connection) -> None:
    """Messages of a prefix count once they are committed, and not before."""
    append(connection, batch([1.0], key="checkout.a", partition=partition_of("checkout.a", 16)))
    assert_is_problem(ask(connection), 404)

    commit_all(connection)

    assert ask(connection).json["count"] == 1
