"""A collector takes client aggregates beside messages: they count as what they stand for."""

import json
from typing import Any

import falcon.testing
import pytest

from api.collector import batch_builder, fast_json
from api.problems import Problem
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames
from tests.collector import test_collector
from tests.collector.test_bodies import FORM, JSON, NDJSON, NOW, columns, read
from tests.collector.test_collector import assert_is_problem, post
from tests.query import test_query
from tests.query.test_query import KEY, PARTITION
from tests.support.aggregates import aggregate_of
from tests.support.streams import assert_audit_balances, audit_of

OF_THREE = aggregate_of([7.0, 102.1, 123.4])
TEXT = "count=3 sum=232.5 min=7.0 max=123.4 99=1 234=1 244=1"
UNSOUND = {**OF_THREE, "count": 4}
DETAIL = "aggregate count must be what the buckets add up to"


def item(key: str = "a", aggregate: object = OF_THREE, **more: object) -> str:
    """Return a client aggregate as an item of JSON."""
    return json.dumps({"key": key, "aggregate": aggregate, **more})


GOOD = {
    "alone": (JSON, item(), {"a": TEXT}),
    "with its hour": (JSON, item(timestamp=int(NOW) - 3600), {"2026-11-23T13:a": TEXT}),
    "with its hour as RFC 3339": (
        JSON,
        item(timestamp="2026-11-23T13:00:00Z"),
        {"2026-11-23T13:a": TEXT},
    ),
    "several": (JSON, f"[{item()},{item('b')}]", {"a": TEXT, "b": TEXT}),
    "indented": (JSON, json.dumps([json.loads(item())], indent=1), {"a": TEXT}),
    "beside a message": (JSON, f'[["b",1],{item()}]', {"b": "1.0", "a": TEXT}),
    "ndjson": (NDJSON, f"{item()}\n{item('b')}\n", {"a": TEXT, "b": TEXT}),
    "form that is JSON": (FORM, item(), {"a": TEXT}),
}


@pytest.mark.parametrize(("content_type", "body", "expected"), GOOD.values(), ids=GOOD)
def test_an_aggregate_is_taken_wherever_json_has_an_object(
    content_type: str, body: str, expected: dict[str, str]
) -> None:
    """Every form of JSON may hold client aggregates; each is as many messages as it stands for."""
    found = read(content_type, body)

    assert columns(found) == expected
    assert found.rejected == 0
    of_aggregates = sum(3 if text == TEXT else 1 for text in expected.values())
    assert found.accepted == of_aggregates
    assert sum(column.messages for column in found.columns(1)[0]) == of_aggregates


@pytest.mark.parametrize("around", ["{}", "[{}]", '[["b",1],{}]'])
def test_what_an_aggregate_stands_for_is_no_size_of_the_request(around: str) -> None:
    """It is one item of the 150,000 that a request may have, however many messages are in it."""
    of_many = {"count": 200_000, "sum": 200_000, "min": 1, "max": 1, "buckets": {"0": 200_000}}

    found = read(JSON, around.replace("{}", item(aggregate=of_many)))

    assert (found.accepted, found.rejected) == (200_000 + around.count("b"), 0)


def test_buckets_are_the_size_of_an_aggregate() -> None:
    """A request may have 150,000 of them in all, as of messages."""
    of_many = aggregate_of([1.02**power for power in range(1200)])
    one = item(aggregate=of_many)

    with pytest.raises(Problem) as raised:
        read(JSON, f"[{','.join([one] * (150_000 // len(of_many['buckets']) + 1))}]")

    assert raised.value.status_code == 413


BAD = {
    "unsound": (item(aggregate=UNSOUND), DETAIL, "aggregate", 1),
    "no key": (json.dumps({"aggregate": OF_THREE}), "an aggregate must have key", "form", 1),
    "bad key": (item("a b"), "key must be 1 to 128 characters", "key", 3),
    "bad timestamp": (item(timestamp=1), "timestamp must lie between", "timestamp", 3),
    "null timestamp": (item(timestamp=None), "timestamp must not be null", "timestamp", 1),
    "beside value": (item(value=1), "aggregate stands beside key and timestamp", "aggregate", 1),
    "beside dropped": (item(dropped=1), "aggregate stands beside key and", "aggregate", 1),
    "beside timestamps": (item(timestamps=[1]), "aggregate stands beside key", "aggregate", 1),
    "of another's key": (item("other"), "this token may not write the key other", "token", 3),
}


@pytest.mark.parametrize(("bad", "detail", "reason", "rejected"), BAD.values(), ids=BAD)
def test_a_bad_aggregate_is_named_and_what_is_good_is_taken(
    bad: str, detail: str, reason: str, rejected: int
) -> None:
    """A bad aggregate has one place in its request, and is as many messages as are known of."""
    good = item("good")
    may_write = "good" if "other" in bad else ""
    found = read(JSON, f'[{good},["good",1],{bad},{good},["good",-2]]', may_write)

    assert columns(found)["good"] in {"1.0", TEXT}
    assert (found.accepted, found.rejected) == (7, rejected + 1)
    assert [error.index for error in found.errors] == [2, 4]
    assert found.errors[0].detail.startswith(detail)
    assert found.reasons == {reason: rejected, "value": 1}


def test_aggregates_of_a_request_stand_for_no_more_than_a_billion() -> None:
    """Together, too, the aggregates of a request stand for a billion messages at most."""
    half = {**aggregate_of([1.0]), "count": 6 * 10**8, "sum": 6e8, "buckets": {"0": 6 * 10**8}}
    found = read(JSON, f"[{item(aggregate=half)},{item()},{item(aggregate=half)}]")

    assert (found.accepted, found.rejected) == (6 * 10**8 + 3, 6 * 10**8)
    (error,) = found.errors
    detail = "aggregates of one request must stand for at most 1000000000 messages"
    assert (error.index, error.detail) == (2, detail)


def test_a_request_has_so_many_aggregates_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """More aggregates than keys and hours may be in a request are too large."""
    monkeypatch.setattr(batch_builder, "KEY_HOURS_MAX", 3)
    monkeypatch.setattr(fast_json, "KEY_HOURS_MAX", 3)
    assert read(JSON, f"[{','.join([item()] * 3)}]").accepted == 9

    with pytest.raises(Problem) as caught:
        read(JSON, f"[{','.join([item()] * 4)}]")

    assert caught.value.status_code == 413
    assert "at most 3 keys and hours, and as many aggregates" in str(caught.value.description)


@pytest.fixture
def collector(connection: Connection) -> falcon.testing.TestClient:
    """Return a client of a collector."""
    return test_collector.client_of(connection)


def in_hour(**more: Any) -> str:  # noqa: ANN401
    """Return an aggregate of the key-hour that is asked for."""
    return item(KEY, **{"timestamp": 1795442400, **more})


def test_a_repeated_aggregate_counts_once_and_the_books_balance(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """Under one Idempotency-Key an aggregate counts once; the audit counts its messages."""
    values = json.dumps({"key": KEY, "values": [10, 20], "timestamp": 1795442400})
    body = f"[{in_hour()},{values}]"
    results = [post(collector, body, **{"Idempotency-Key": "one"}) for _ in range(2)]
    other = post(collector, in_hour(), **{"Idempotency-Key": "one"})
    accepted = audit_of(connection, PARTITION)["accepted"]
    test_query.commit(connection)
    answer = test_query.client_of(connection).simulate_get(f"/{KEY}/summary/2026-11-23/14").json

    assert [result.json for result in results] == [{"accepted": 5, "rejected": 0}] * 2
    assert_is_problem(other, 422)
    assert accepted == 5
    assert_audit_balances(connection, PARTITION)
    assert audit_of(connection, PARTITION)["applied"] == 5
    assert {name: answer[name] for name in ("count", "sum", "min", "max")} == {
        "count": 5,
        "sum": 262.5,
        "min": 7.0,
        "max": 123.4,
    }
    assert answer["median"] == pytest.approx(20, rel=0.01)


def test_an_unsound_aggregate_alone_is_a_400(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """An aggregate that cannot be is a 400 that says what is wrong, and nothing is stored."""
    problem = assert_is_problem(post(collector, item(aggregate=UNSOUND)), 400)

    assert (problem["rejected"], problem["detail"]) == (1, DETAIL)
    assert connection.ask(command("EXISTS", PartitionNames(PARTITION).stream)) == 0
