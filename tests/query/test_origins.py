"""``GET /<prefix>*/keys/<hours>`` names the keys behind hours and values, with a real Redis."""

import falcon.testing
import pytest

from metrics import store
from metrics.connection import Connection
from metrics.store import WILDCARD
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import client_of
from tests.support.fleets import fill, fleet

HOUR = "2026-11-23T14"
NEXT = "2026-11-23T15"
AWAY = Connection.open("redis://127.0.0.1:1", timeout_s=0.1, connections_max=1)
"""A question that is refused never gets to Redis."""


def ask(
    connection: Connection, hours: str = HOUR, key: str = "checkout.*", **params: str
) -> falcon.testing.Result:
    """Ask where messages come from."""
    return client_of(connection).simulate_get(f"/{key}/keys/{hours}", params=params)


def origins(result: falcon.testing.Result) -> list[tuple[str, int, int]]:
    """Return for each key how many of its messages are in the region, and how many it has."""
    return [(each["key"], each["count"], each["of"]) for each in result.json["keys"]]


def test_keys_stand_in_the_order_of_what_they_have_in_a_region(connection: Connection) -> None:
    """Above one value and at most another: each key with any, the one with most first."""
    fill(connection, {"checkout.a": [5, 50, 500], "checkout.b": [50, 60, 70], "checkout.c": [1]})
    fill(connection, {"other": [50]})

    result = ask(connection, over="10", upto="100")

    assert origins(result) == [("checkout.b", 3, 3), ("checkout.a", 1, 3)]
    assert (result.json["count"], result.json["of"]) == (4, 7)
    assert (result.json["from"], result.json["to"]) == (HOUR, HOUR)
    assert (result.json["over"], result.json["upto"]) == (10, 100)


def test_the_edges_of_a_histogram_cut_between_its_buckets(connection: Connection) -> None:
    """Regions that meet at an edge of a bucket have each message once."""
    values = [1.3**i for i in range(10)]
    fill(connection, {"checkout.a": values, "checkout.b": values[::2]})
    client = client_of(connection)
    buckets = client.simulate_get("/checkout.*/histogram/2026-11-23/14").json["buckets"]

    for _, edge, _ in buckets[:-1]:
        below = ask(connection, upto=f"{edge:.6g}").json["count"]
        above = ask(connection, over=f"{edge:.6g}").json["count"]
        assert below + above == 15
        assert below == sum(count for _, upper, count in buckets if upper <= edge)


def test_a_region_may_have_many_hours_and_no_limits(connection: Connection) -> None:
    """Hours from one to another count together; without limits all messages do."""
    fill(connection, {"checkout.a": [1, 2], "checkout.b": [3]})
    fill(connection, {"checkout.b": [4, 5]}, NEXT)
    fill(connection, {"checkout.b": [6]}, "2026-11-23T16")

    result = ask(connection, f"{HOUR}..{NEXT}")

    assert origins(result) == [("checkout.b", 3, 3), ("checkout.a", 2, 2)]
    assert "over" not in result.json
    assert origins(ask(connection, "2026-11-23T09")) == []


def test_only_so_many_keys_are_named_as_are_asked_for(connection: Connection) -> None:
    """``limit`` bounds the list and not the counts."""
    fill(connection, {key: [1.0] for key in fleet(30)})

    result = ask(connection, limit="3")

    assert len(origins(result)) == 3
    assert result.json["count"] == 30
    assert len(origins(ask(connection))) == 20


@pytest.mark.parametrize(
    ("hours", "params", "part"),
    [
        ("2026-11-23", {}, "an hour is written 2026-11-23T14"),
        (f"{NEXT}..{HOUR}", {}, "hours must be 1 to 744"),
        ("2026-01-01T00..2026-11-23T14", {}, "hours must be 1 to 744"),
        (HOUR, {"over": "-1"}, "over must be a number, 0 or more"),
        (HOUR, {"upto": "inf"}, "upto must be a number, 0 or more"),
        (HOUR, {"upto": "nan"}, "upto must be a number, 0 or more"),
        (HOUR, {"over": "5", "upto": "5"}, "over must be below upto"),
        (HOUR, {"limit": "0"}, "limit must be 1 to 1000"),
        (HOUR, {"above": "5"}, "parameters may be over, upto, limit"),
    ],
)
def test_what_is_no_region_is_refused(hours: str, params: dict[str, str], part: str) -> None:
    """A 400 says what is allowed."""
    assert part in assert_is_problem(ask(AWAY, hours, **params), 400)["detail"]


def test_one_key_has_no_origins() -> None:
    """Who asks for a key alone is told to ask for a prefix."""
    problem = assert_is_problem(ask(AWAY, key="checkout.a"), 400)

    assert "with * at its end" in problem["detail"]


def test_an_error_shows_the_beginning_of_a_long_key() -> None:
    """Of a key of 60 kB an error shows the beginning."""
    problem = assert_is_problem(ask(AWAY, key="a" * 60_000), 400)

    assert len(problem["detail"]) < 200


def test_more_than_one_question_may_touch_is_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of statistics hold here, too."""
    fill(connection, {key: [1.0] for key in fleet(4)})
    monkeypatch.setattr(store, "KEY_HOURS_MAX", 3)

    assert "a longer prefix" in assert_is_problem(ask(connection), 400)["detail"]


def test_a_token_must_cover_the_whole_prefix(connection: Connection) -> None:
    """A token for some keys names none of the others."""
    fill(connection, {"checkout.a": [1.0], "search.a": [1.0]})
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=secret")
    headers = {"Authorization": "Bearer secret"}

    def ask_with(key: str) -> falcon.testing.Result:
        return client.simulate_get(f"/{key}/keys/{HOUR}", headers=headers)

    assert origins(ask_with("checkout.*")) == [("checkout.a", 1, 1)]
    assert_is_problem(ask_with(WILDCARD), 403)
    assert client.simulate_get(f"/checkout.*/keys/{HOUR}").status_code == 401
