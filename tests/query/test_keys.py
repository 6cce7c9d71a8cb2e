"""``GET /keys`` lists the known keys, page by page, with a real Redis."""

import falcon.testing
import pytest

from metrics import known_keys
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import client_of
from tests.support.away import PartlyAway
from tests.support.clusters import PARTITIONS
from tests.support.fleets import fill, fleet


def ask(connection: Connection, **params: object) -> falcon.testing.Result:
    """Ask for a page."""
    return client_of(connection).simulate_get("/keys", params=params)


def names_of(result: falcon.testing.Result) -> list[str]:
    """Return the keys of a page."""
    return [each["key"] for each in result.json["keys"]]


def test_the_known_keys_are_listed_in_order_with_their_newest_hours(
    connection: Connection,
) -> None:
    """Known keys are listed in order with their newest hours; a late message changes none."""
    fill(connection, {"checkout.b": [1.0], "Zebra": [1.0], "checkout.a": [1.0]})
    fill(connection, {"checkout.a": [1.0]}, "2026-11-24T09")
    fill(connection, {"checkout.b": [1.0]}, "2026-11-23T07")

    result = ask(connection)

    assert result.status_code == 200
    assert result.json == {
        "keys": [
            {"key": "Zebra", "newest_hour": "2026-11-23T14"},
            {"key": "checkout.a", "newest_hour": "2026-11-24T09"},
            {"key": "checkout.b", "newest_hour": "2026-11-23T14"},
        ],
        "next": None,
    }


def test_without_messages_there_are_no_keys(connection: Connection) -> None:
    """Without messages the list of keys is empty."""
    assert ask(connection).json == {"keys": [], "next": None}


def test_a_prefix_leaves_out_all_other_keys(connection: Connection) -> None:
    """A prefix lists the keys that begin with it, also the key that equals it."""
    fill(connection, {key: [1.0] for key in ("checkout", "checkout.a", "checkout-b", "check")})

    assert names_of(ask(connection, prefix="checkout")) == [
        "checkout",
        "checkout-b",
        "checkout.a",
    ]
    assert names_of(ask(connection, prefix="checkout.")) == ["checkout.a"]
    assert names_of(ask(connection, prefix="nobody")) == []


@pytest.mark.parametrize("limit", [1, 7, 10, 20, 21])
def test_pages_hold_every_key_once(connection: Connection, limit: int) -> None:
    """Pages hold every key once, if each ``next`` is sent as ``after`` until it is null."""
    keys = fleet(20)
    fill(connection, {key: [1.0] for key in [*keys, "other"]})
    found: list[str] = []
    after = ""
    while after is not None:
        assert len(found) <= len(keys)
        page = ask(connection, prefix="checkout.", after=after, limit=limit)
        assert 1 <= len(names_of(page)) <= limit
        found += names_of(page)
        after = page.json["next"]

    assert found == sorted(keys)


def test_a_page_has_100_keys_if_nobody_says_otherwise(connection: Connection) -> None:
    """A page without a limit has 100 keys, and ``next`` if there are more."""
    fill(connection, {key: [1.0] for key in fleet(101)})

    page = ask(connection)

    assert len(names_of(page)) == 100
    assert page.json["next"] == names_of(page)[-1]


def test_keys_of_more_than_one_reply_are_all_found(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys of a partition are found that takes several replies of Redis."""
    monkeypatch.setattr(known_keys, "KEYS_PER_REPLY", 10)
    keys = [key for key in fleet(16000) if partition_of(key, PARTITIONS) == 0][:500]
    pairs = [part for key in keys for part in (2026112314, key)]
    connection.ask(command("ZADD", PartitionNames(0).keys, *pairs))

    assert names_of(ask(connection, limit=1000)) == sorted(keys)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit must be 1 to 1000, got '0'"),
        ("limit=1001", "limit must be 1 to 1000"),
        ("limit=-1", "limit must be 1 to 1000"),
        ("limit=", "limit must be 1 to 1000"),
        ("limit=" + "9" * 5000, "limit must be 1 to 1000"),
        ("limit=%D9%A7", "limit must be 1 to 1000"),
        ("after=a%20b", "after must be the next of a page before"),
        ("prefix=-", "prefix must be empty or the beginning of a key"),
        ("prefix=checkout.*", "prefix must be empty or the beginning of a key"),
        ("limit=1&limit=2", "limit must be there once, got 2"),
        ("page=2", "parameters may be prefix, after, limit, got 'page'"),
    ],
)
def test_a_bad_parameter_is_a_bad_request_that_names_it(
    connection: Connection, query: str, detail: str
) -> None:
    """A bad parameter gives a 400 that names it and what is allowed."""
    result = client_of(connection).simulate_get("/keys", query_string=query)

    assert assert_is_problem(result, 400)["detail"].startswith(detail)


def test_a_token_sees_the_keys_that_it_covers(connection: Connection) -> None:
    """A token for prefixes lists only keys that it covers, and another prefix gets a 403."""
    fill(connection, {key: [1.0] for key in ("checkout.a", "checkout", "pay.b", "other")})
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=teller,pay.*=teller,all")

    def names(token: str, prefix: str) -> list[str]:
        headers = {"Authorization": f"Bearer {token}"}
        return names_of(client.simulate_get("/keys", params={"prefix": prefix}, headers=headers))

    assert names("teller", "") == ["checkout.a", "pay.b"]
    assert names("teller", "check") == ["checkout.a"]
    assert names("teller", "pay.b") == ["pay.b"]
    assert len(names("all", "")) == 4
    outside = client.simulate_get(
        "/keys", params={"prefix": "other"}, headers={"Authorization": "Bearer teller"}
    )
    assert "other" in assert_is_problem(outside, 403)["detail"]
    assert_is_problem(client.simulate_get("/keys"), 401)


@pytest.mark.parametrize("key", ["keys", "audit", "metrics", "healthz"])
def test_a_key_may_be_named_as_a_resource_is(connection: Connection, key: str) -> None:
    """A key with the name of a resource can be asked for its statistics."""
    fill(connection, {key: [5.0]})
    client = client_of(connection)

    assert client.simulate_get(f"/{key}/median/2026-11-23/14").json["value"] == 5.0
    assert client.simulate_get(f"/{key}/median/2026-11-23").json["hours"][14]["value"] == 5.0
    assert names_of(ask(connection)) == [key]


def test_who_has_the_page_already_gets_304(connection: Connection) -> None:
    """A page with its ETag gets a 304, no page may be stored, and HEAD has no body."""
    fill(connection, {"checkout.a": [1.0]})
    client = client_of(connection)
    first = client.simulate_get("/keys")
    again = client.simulate_get("/keys", headers={"If-None-Match": first.headers["ETag"]})
    head = client.simulate_head("/keys")

    assert first.headers["Cache-Control"] == "no-cache, no-store"
    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content) == (200, b"")


def test_with_a_partition_away_there_is_no_half_list(connection: Connection) -> None:
    """With one partition away the list of keys gives a 503."""
    fill(connection, {"checkout.a": [1.0]})

    assert_is_problem(ask(PartlyAway(connection, [3])), 503)


@pytest.mark.parametrize("score", ["7", "2026139914", "1.5", "inf"])
def test_keys_that_are_not_ours_are_no_answer(connection: Connection, score: str) -> None:
    """A key whose newest hour is no hour makes the list a 503."""
    connection.ask(command("ZADD", PartitionNames(0).keys, score, "checkout.a"))

    assert_is_problem(ask(connection), 503)
