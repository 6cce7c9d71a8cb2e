"""The query service answers days of a zone, ranges of days, and what was earlier beside them."""

from datetime import datetime
from time import time
from typing import Any
from unittest.mock import ANY

import falcon.testing
import pytest

from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import AFTER, KEY, PARTITION, VALUES, add, client_of, commit
from tests.support.fleets import fill
from tests.support.streams import append, batch

AFTER_ALL = float(Hour.parse("2026-12-31T23").end)
COMPLETE = {"complete": True, "as_of": ANY}


def ask(
    connection: Connection, path: str, now: float = AFTER_ALL, **parameters: str
) -> falcon.testing.Result:
    """Ask when all is over."""
    return client_of(connection, now).simulate_get(path, params=parameters)


def seconds(text: str) -> float:
    """Return a time of RFC 3339 in Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def test_the_whole_of_a_day_is_of_all_its_messages(connection: Connection) -> None:
    """The whole of a day is the statistic of all its messages, and no average of hours."""
    fill(connection, {KEY: [1.0] * 98}, "2026-11-23T03")
    fill(connection, {KEY: [100.0] * 2}, "2026-11-23T04")

    found = ask(connection, f"/{KEY}/p50/2026-11-23").json
    summary = ask(connection, f"/{KEY}/summary/2026-11-23").json["whole"]

    assert found["whole"] == {"value": pytest.approx(1.0, rel=0.01), "count": 100} | COMPLETE | {
        "relative_error": 0.01
    }
    assert (summary["count"], summary["sum"], summary["average"]) == (100, 298.0, 2.98)
    assert (summary["min"], summary["max"]) == (1.0, 100.0)


def test_the_whole_of_a_prefix_counts_each_key_once(connection: Connection) -> None:
    """The whole of a day of a prefix says how many keys had messages in any of its hours."""
    fill(connection, {"checkout.a": [1.0], "checkout.b": [2.0]}, "2026-11-23T03")
    fill(connection, {"checkout.b": [5.0], "checkout.c": [6.0]}, "2026-11-23T04")

    found = ask(connection, "/checkout.*/sum/2026-11-23").json

    assert [each["keys"] for each in found["hours"] if each] == [2, 2]
    assert found["whole"] == {"value": 14.0, "count": 4, "keys": 3, **COMPLETE}


def test_the_whole_of_nothing_is_null(connection: Connection) -> None:
    """A day without messages has no whole."""
    assert ask(connection, f"/{KEY}/max/2026-11-23").json["whole"] is None


def test_a_whole_is_complete_once_all_hours_are(connection: Connection) -> None:
    """A whole is complete once the last hour of its period is, whether that has messages or not."""
    fill(connection, {KEY: [1.0]}, "2026-11-23T03")
    path = f"/{KEY}/max/2026-11-23"
    end = Hour.parse("2026-11-23T23").end + 10

    assert ask(connection, path, now=end - 1).json["whole"]["complete"] is False
    assert ask(connection, path, now=end).json["whole"]["complete"] is True


def test_a_range_is_an_array_of_all_its_hours_with_their_dates(connection: Connection) -> None:
    """A range has each hour of its days, with its date, and one whole."""
    fill(connection, {KEY: [1.0]}, "2026-11-21T23")
    fill(connection, {KEY: [2.0]}, "2026-11-22T23")
    fill(connection, {KEY: [3.0]}, "2026-11-23T00")
    fill(connection, {KEY: [4.0]}, "2026-11-24T00")

    found = ask(connection, f"/{KEY}/max/2026-11-22..2026-11-23").json

    of_hour = {"count": 1, **COMPLETE}
    assert found == {
        "key": KEY,
        "stat": "max",
        "from": "2026-11-22",
        "to": "2026-11-23",
        "hours": [
            *[None] * 23,
            {"date": "2026-11-22", "hour": 23, "value": 2.0, **of_hour},
            {"date": "2026-11-23", "hour": 0, "value": 3.0, **of_hour},
            *[None] * 23,
        ],
        "whole": {"value": 3.0, "count": 2, **COMPLETE},
    }


def test_a_day_of_a_zone_is_named_and_begins_there(connection: Connection) -> None:
    """A day of a zone has the hours that clocks show there, and says when it begins."""
    fill(connection, {KEY: [1.0]}, "2026-10-24T22")
    fill(connection, {KEY: [2.0]}, "2026-10-25T00")
    fill(connection, {KEY: [3.0]}, "2026-10-25T01")
    fill(connection, {KEY: [4.0]}, "2026-10-25T22")
    fill(connection, {KEY: [9.0]}, "2026-10-25T23")

    found = ask(connection, f"/{KEY}/max/2026-10-25", tz="Europe/Berlin").json

    assert (found["tz"], found["start"]) == ("Europe/Berlin", "2026-10-25T00:00:00+02:00")
    assert len(found["hours"]) == 25
    assert [(each["hour"], each["value"]) for each in found["hours"] if each] == [
        *((0, 1.0), (2, 2.0), (2, 3.0), (23, 4.0)),
    ]
    assert found["whole"]["count"] == 4


@pytest.mark.parametrize("days", [1, 7, 28])
def test_what_was_earlier_stands_beside_each_hour_and_the_whole(
    connection: Connection, days: int
) -> None:
    """Beside each hour, and beside the whole, is the value so many days before; or null."""
    earlier = Hour(Hour.parse("2026-11-23T03").number - 24 * days)
    fill(connection, {KEY: [1.0, 2.0]}, "2026-11-23T03")
    fill(connection, {KEY: [7.0]}, "2026-11-23T04")
    fill(connection, {KEY: [5.0]}, str(earlier))
    fill(connection, {KEY: [6.0]}, str(Hour(earlier.number + 2)))

    found = ask(connection, f"/{KEY}/max/2026-11-23", compare=f"{days}d").json

    assert found["hours"][3:7] == [
        {"hour": 3, "value": 2.0, "count": 2, **COMPLETE, "before": 5.0},
        {"hour": 4, "value": 7.0, "count": 1, **COMPLETE, "before": None},
        {"hour": 5, "value": None, "count": 0, **COMPLETE, "before": 6.0},
        None,
    ]
    assert found["whole"] == {"value": 7.0, "count": 3, **COMPLETE, "before": 6.0}


def test_a_range_may_be_compared_with_days_of_its_own(connection: Connection) -> None:
    """A range may overlap the one that it is compared with."""
    for day in (21, 22, 23):
        fill(connection, {KEY: [float(day)]}, f"2026-11-{day}T03")

    found = ask(connection, f"/{KEY}/sum/2026-11-22..2026-11-23", compare="1d").json

    assert [(each["value"], each["before"]) for each in found["hours"] if each] == [
        (22.0, 21.0),
        (23.0, 22.0),
    ]
    assert (found["whole"]["value"], found["whole"]["before"]) == (45.0, 43.0)


def test_an_hour_may_be_compared_as_well(connection: Connection) -> None:
    """Beside an hour alone is the value so many days before."""
    fill(connection, {KEY: [1.0, 3.0]}, "2026-11-23T14")
    path = f"/{KEY}/average/2026-11-23/14"
    assert ask(connection, path, compare="7d").json["before"] is None

    fill(connection, {KEY: [10.0]}, "2026-11-16T14")

    found = ask(connection, path, compare="7d").json
    assert (found["value"], found["before"]) == (2.0, 10.0)
    assert "before" not in ask(connection, path).json


def test_a_summary_is_compared_number_by_number(connection: Connection) -> None:
    """What a summary or a histogram is compared with has the same numbers, and the count."""
    fill(connection, {KEY: [1.0, 3.0]}, "2026-11-23T14")
    fill(connection, {KEY: [10.0]}, "2026-11-22T14")

    for stat in ("summary", "histogram"):
        found = ask(connection, f"/{KEY}/{stat}/2026-11-23/14", compare="1d").json
        assert found["before"]["max"] == 10.0
        assert found["before"]["count"] == 1
        names = found.keys() - {"key", "stat", "date", "hour", "complete", "as_of", "before"}
        assert found["before"].keys() == names - {"relative_error"}


def test_a_histogram_has_the_summary_beside_its_buckets(connection: Connection) -> None:
    """One question for the histogram of a day gives all that a picture of it needs."""
    fill(connection, {KEY: VALUES}, "2026-11-23T14")

    hour = ask(connection, f"/{KEY}/histogram/2026-11-23").json["hours"][14]
    summary = ask(connection, f"/{KEY}/summary/2026-11-23").json["hours"][14]

    buckets = hour.pop("buckets")
    assert hour | {"as_of": ANY} == summary
    assert sum(count for _, _, count in buckets) == 4


def test_as_of_is_the_time_once_nothing_of_the_hour_waits(connection: Connection) -> None:
    """Every message that was accepted before ``as_of`` is in the answer: all, if none waits."""
    add(connection, VALUES)
    commit(connection)
    append(connection, batch(hour="2026-11-23T15", partition=PARTITION))
    before = time()

    found = ask(connection, f"/{KEY}/max/2026-11-23/14").json

    assert before - 0.002 <= seconds(found["as_of"]) <= time()


def test_as_of_is_when_the_oldest_message_that_waits_was_accepted(connection: Connection) -> None:
    """While a message of the hour waits, ``as_of`` is not after the oldest entry in the backlog."""
    add(connection, VALUES)
    commit(connection)
    stream = PartitionNames(PARTITION).stream
    hour = "2026-11-23T15"
    append(connection, batch(hour=hour, partition=PARTITION))
    oldest = connection.ask(command("XRANGE", stream, "-", "+"))[0][0]
    add(connection, [5.0])

    found = ask(connection, f"/{KEY}/max/2026-11-23/14").json

    assert found["complete"] is False
    assert seconds(found["as_of"]) * 1000 == pytest.approx(int(oldest.partition(b"-")[0]))
    assert connection.ask(command("XPENDING", stream, GROUP))[0] == 0


def test_an_id_of_no_time_makes_no_time_of_the_future(connection: Connection) -> None:
    """An entry that somebody else appended under the largest id does not make ``as_of`` later."""
    add(connection, VALUES)
    commit(connection)
    names = PartitionNames(PARTITION)
    connection.ask(
        command("XADD", names.stream, "18446744073709551615-1", f"2026-11-23T14:{KEY}", 1)
    )
    connection.ask(command("HINCRBY", names.backlog, "2026-11-23T14", 1))

    assert seconds(ask(connection, f"/{KEY}/max/2026-11-23/14").json["as_of"]) <= time()


def test_late_messages_are_counted_in_the_answer(connection: Connection) -> None:
    """An answer says how many of its messages were late, if there were any."""
    fill(connection, {KEY: [1.0, 2.0]}, "2026-11-23T14")
    fill(connection, {KEY: [1.0, 2.0]}, "2026-11-23T15")
    connection.ask(
        command("HINCRBY", PartitionNames(PARTITION).hour(f"2026-11-23T14:{KEY}"), "late", 2)
    )

    found = ask(connection, f"/{KEY}/max/2026-11-23").json

    assert [each.get("late") for each in found["hours"] if each] == [2, None]
    assert found["whole"]["late"] == 2


def test_the_etag_stays_while_only_as_of_changes(connection: Connection) -> None:
    """A client that has the same numbers gets a 304, although ``as_of`` is later by now."""
    fill(connection, {KEY: [1.0]}, "2026-11-23T14")
    client = client_of(connection, AFTER_ALL)
    first = client.simulate_get(f"/{KEY}/max/2026-11-23")
    while client.simulate_get(f"/{KEY}/max/2026-11-23").json == first.json:
        pass

    again = client.simulate_get(
        f"/{KEY}/max/2026-11-23", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "parameters", "detail"),
    [
        ("max/2026-10-01..2026-11-23", {}, "a range must be 1 to 31 days"),
        ("max/2026-11-23", {"tz": "Asia/Kolkata"}, "tz must be a zone whose hours"),
        ("max/2026-11-23", {"tz": "Mars/Olympus"}, "tz must be a time zone"),
        ("max/0001-01-01", {"tz": "Etc/GMT-14"}, "the day 0001-01-01 of Etc/GMT-14 has no hours"),
        ("max/0001-01-02", {"tz": "Etc/GMT-14", "compare": "1d"}, "the day 0001-01-01"),
        ("max/2026-11-23", {"compare": "week"}, "compare must be days"),
        ("max/2026-11-23", {"zone": "UTC"}, "parameters may be tz, compare, got 'zone'"),
        ("max/2026-11-23/14", {"tz": "Europe/Berlin"}, "tz is for days and ranges"),
        ("max/2026-11-22..2026-11-23/14", {}, "date must be a day"),
    ],
)
def test_what_cannot_be_asked_is_a_bad_request(
    connection: Connection, path: str, parameters: dict[str, Any], detail: str
) -> None:
    """A wrong part of the question gives a 400 that says what is allowed."""
    problem = assert_is_problem(ask(connection, f"/{KEY}/{path}", **parameters), 400)

    assert problem["detail"].startswith(detail)


def test_today_is_that_of_the_zone(connection: Connection) -> None:
    """Today is the day that the zone has now."""
    found = ask(connection, f"/{KEY}/max/today", now=AFTER + 8 * 3600, tz="Europe/Berlin").json

    assert found["date"] == "2026-11-24"
