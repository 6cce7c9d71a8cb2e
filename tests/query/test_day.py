"""The query service answers a statistic of each hour of a day, with a real Redis."""

from unittest.mock import ANY

import falcon.testing
import gevent
import pytest

from api import time_slices
from api.query import app
from metrics import store
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import KEY, LATENESS_S, PARTITION, client_of
from tests.support.away import PartlyAway
from tests.support.fleets import fill, fleet
from tests.support.streams import append, batch

DAY = "2026-11-23"
COMPLETE = {"complete": True, "as_of": ANY}
AFTER_DAY = float(Hour.parse("2026-11-23T23").end + LATENESS_S)
PATH = f"/{KEY}/{{}}/{DAY}"


def ask(
    connection: Connection, path: str = PATH.format("max"), now: float = AFTER_DAY
) -> falcon.testing.Result:
    """Ask for the day when it is over."""
    return client_of(connection, now).simulate_get(path)


def test_a_day_is_an_array_of_24_hours(connection: Connection) -> None:
    """A day is an array of its 24 hours, with null where there is nothing."""
    fill(connection, {KEY: [1.0, 2.0]}, f"{DAY}T00")
    fill(connection, {KEY: [7.0]}, f"{DAY}T23")
    fill(connection, {KEY: [99.0]}, "2026-11-22T23")
    fill(connection, {KEY: [99.0]}, "2026-11-24T00")

    result = ask(connection)

    assert result.status_code == 200
    assert result.json == {
        "key": KEY,
        "stat": "max",
        "date": DAY,
        "hours": [
            {"hour": 0, "value": 2.0, "count": 2, **COMPLETE},
            *[None] * 22,
            {"hour": 23, "value": 7.0, "count": 1, **COMPLETE},
        ],
        "whole": {"value": 7.0, "count": 3, **COMPLETE},
    }


def test_each_hour_is_what_it_is_alone(connection: Connection) -> None:
    """Each hour of a day equals the answer for that hour alone."""
    for hour in range(0, 24, 5):
        fill(connection, {KEY: [float(i + 1) for i in range(hour + 1)]}, f"{DAY}T{hour:02}")
    name = PartitionNames(PARTITION).hour(f"{DAY}T05:{KEY}")
    connection.ask(command("HINCRBY", name, "dropped", 17))
    client = client_of(connection, AFTER_DAY)

    for stat in ("average", "p90", "count"):
        for found in client.simulate_get(PATH.format(stat)).json["hours"]:
            if found:
                alone = client.simulate_get(f"{PATH.format(stat)}/{found['hour']}").json
                expected = {"key": KEY, "stat": stat, "date": DAY, **found, "as_of": ANY}
                assert expected == alone


def test_a_day_without_messages_is_an_answer(connection: Connection) -> None:
    """A day without messages gives a 200 with 24 nulls, and may not be cached."""
    result = ask(connection, now=AFTER_DAY - 1)

    assert (result.status_code, result.json["hours"]) == (200, [None] * 24)
    assert result.headers["Cache-Control"] == "no-cache, no-store"


def test_an_hour_of_which_all_was_dropped_says_so(connection: Connection) -> None:
    """An hour of which all was dropped has no value, a count of 0 and the number dropped."""
    name = PartitionNames(PARTITION).hour(f"{DAY}T05:{KEY}")
    connection.ask(command("HINCRBY", name, "dropped", 17))

    found = ask(connection).json["hours"][5]

    assert found == {
        "hour": 5,
        "value": None,
        "count": 0,
        "dropped": 17,
        "complete": True,
        "as_of": ANY,
    }


def test_an_hour_is_complete_by_itself_and_a_day_once_all_hours_are(
    connection: Connection,
) -> None:
    """Each hour is complete by itself, and a day may be cached once all its hours are."""
    fill(connection, {KEY: [1.0]}, f"{DAY}T03")
    fill(connection, {KEY: [1.0]}, f"{DAY}T04")
    noon = ask(connection, now=float(Hour.parse(f"{DAY}T03").end + LATENESS_S))
    over = ask(connection)
    append(connection, batch(key=KEY, hour=f"{DAY}T09", partition=PARTITION))
    late = ask(connection)

    assert [each["complete"] for each in noon.json["hours"] if each] == [True, False]
    assert noon.headers["Cache-Control"] == "no-cache, no-store"
    assert over.headers["Cache-Control"] == "public, max-age=60"
    assert [each["complete"] for each in late.json["hours"] if each] == [True, True]
    assert late.headers["Cache-Control"] == "no-cache, no-store"


def test_the_day_of_a_prefix(connection: Connection) -> None:
    """A day of a prefix has in each hour the statistic of all its keys together."""
    fill(connection, {"checkout.a": [1.0], "checkout.b": [2.0]}, f"{DAY}T03")
    fill(connection, {"checkout.b": [5.0], "other": [9.0]}, f"{DAY}T04")

    result = ask(connection, f"/checkout.*/sum/{DAY}")

    assert result.json["key"] == "checkout.*"
    assert [each for each in result.json["hours"] if each] == [
        {"hour": 3, "value": 3.0, "count": 2, "keys": 2, **COMPLETE},
        {"hour": 4, "value": 5.0, "count": 1, "keys": 1, **COMPLETE},
    ]


def test_the_day_of_too_many_keys_is_a_bad_request(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that touches more key-hours than the limit gives a 400 with their number."""
    monkeypatch.setattr(store, "KEY_HOURS_MAX", 24)
    keys = fleet(13)
    fill(connection, {key: [1.0] for key in keys[:12]}, f"{DAY}T01")
    assert ask(connection, f"/checkout.*/sum/{DAY}").status_code == 200

    fill(connection, {keys[12]: [1.0]}, f"{DAY}T01")

    detail = assert_is_problem(ask(connection, f"/checkout.*/sum/{DAY}"), 400)["detail"]
    assert detail.startswith("checkout.* touches 26 key-hours")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (f"/{KEY}/mean/{DAY}", "stat must be one of"),
        (f"/{KEY}/max/2026-2-3", "date must be a day written YYYY-MM-DD"),
        (f"/a%20b/max/{DAY}", "key must be 1 to 128 characters"),
        (f"/-*/max/{DAY}", "prefix must be empty or the beginning of a key"),
    ],
)
def test_what_cannot_be_asked_is_a_bad_request(
    connection: Connection, path: str, detail: str
) -> None:
    """A wrong part of a day's path gives a 400 that names it."""
    assert assert_is_problem(ask(connection, path), 400)["detail"].startswith(detail)


def test_a_token_must_cover_the_key(connection: Connection) -> None:
    """A day needs a token that covers its key: without one the answer is 401, with another 403."""
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=teller")
    teller = {"Authorization": "Bearer teller"}

    assert client.simulate_get(PATH.format("max"), headers=teller).status_code == 200
    assert_is_problem(client.simulate_get(f"/other/max/{DAY}", headers=teller), 403)
    assert_is_problem(client.simulate_get(PATH.format("max")), 401)


def test_who_has_the_day_already_gets_304(connection: Connection) -> None:
    """A day with its ETag gives a 304, and HEAD has no body."""
    client = client_of(connection, AFTER_DAY)
    etag = client.simulate_get(PATH.format("max")).headers["ETag"]

    again = client.simulate_get(PATH.format("max"), headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    head = client.simulate_head(PATH.format("max"))
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", etag)


def test_with_its_partition_away_it_is_503(connection: Connection) -> None:
    """A day whose partition is away gives a 503."""
    fill(connection, {KEY: [1.0]}, f"{DAY}T03")

    assert_is_problem(ask(PartlyAway(connection, [PARTITION])), 503)


def test_a_day_of_a_key_takes_two_round_trips(connection: Connection) -> None:
    """A day of a key takes two round trips to Redis."""
    asked = []

    class Counting(Connection):
        def execute(self, calls: list) -> list:
            asked.append([call.arguments[0] for call in calls])
            return connection.execute(calls)

    ask(Counting(connection._topology))

    assert asked[-2:] == [["EVALSHA", *["HLEN"] * 24], ["HGETALL"] * 24]


def test_others_have_a_turn_between_any_two_hours(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have a turn after each hour of a day that takes its time."""
    monkeypatch.setattr(app, "SLICE_S", 0.0)
    monkeypatch.setattr(time_slices, "SHORT_S", 0.0)
    monkeypatch.setattr(time_slices, "has_greenlets", lambda: True)
    fill(connection, {KEY: [1.0, 2.0]}, f"{DAY}T00")
    turns = 0

    def take_turns() -> None:
        nonlocal turns
        while True:
            gevent.sleep(1e-9)
            turns += 1

    other = gevent.spawn(take_turns)
    try:
        assert ask(connection).status_code == 200
    finally:
        other.kill()

    assert turns >= 23
