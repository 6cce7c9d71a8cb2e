"""The query's contract over HTTP, with a real Redis."""

from unittest.mock import ANY

import falcon.testing
import pytest

from api.query import app as query
from metrics.backlog import NEW, Backlog, Commit
from metrics.connection import Connection, command
from metrics.fold import fold
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, partition_of
from metrics.settings import Settings
from ops.local.ports import free_port
from tests.collector.test_collector import assert_is_problem
from tests.support.streams import HOUR, NEVER_LATE_S, append, batch

KEY = "checkout.web-1"
PARTITION = partition_of(KEY, 16)
LATENESS_S = 10
AFTER = float(Hour.parse(HOUR).end + LATENESS_S)
VALUES = [10.0, 20.0, 30.0, 100.0]


def client_of(
    connection: Connection, now: float = AFTER, **environ: str
) -> falcon.testing.TestClient:
    """Return a client of a query service with these settings."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environ})
    return falcon.testing.TestClient(query.create_app(connection, settings, now=lambda: now))


def add(connection: Connection, values: list[float], key: str = KEY, hour: str = HOUR) -> None:
    """Append messages."""
    number = partition_of(key, 16)
    assert append(connection, batch(values, key=key, hour=hour, partition=number)) == [None]


def commit(connection: Connection) -> None:
    """Commit what is in the backlog of the key."""
    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups([PARTITION])
    entries = backlog.read({PARTITION: NEW}, 100)[PARTITION]
    folded = fold(entries, lateness_s=NEVER_LATE_S)
    assert backlog.commit([Commit(PARTITION, entries, folded)], AFTER) == [True]


@pytest.fixture
def client(connection: Connection) -> falcon.testing.TestClient:
    """Return a client that asks after an hour that is over and has four messages."""
    add(connection, VALUES)
    commit(connection)
    return client_of(connection)


@pytest.mark.parametrize(
    ("stat", "value"),
    [
        ("average", 40.0),
        ("min", 10.0),
        ("max", 100.0),
        ("count", 4),
        ("sum", 160.0),
        ("median", pytest.approx(25.0, rel=0.01)),
        ("p90", pytest.approx(79.0, rel=0.01)),
        ("p99.9", pytest.approx(99.79, rel=0.01)),
        ("p0", 10.0),
        ("p100", 100.0),
    ],
)
def test_a_statistic_of_a_key_in_an_hour(
    client: falcon.testing.TestClient, stat: str, value: float
) -> None:
    """The answer says what was asked, the number, and on how many messages it stands."""
    result = client.simulate_get(f"/{KEY}/{stat}/2026-11-23/14")

    is_estimate = stat in ("median", "p90", "p99.9")
    expected = {
        "key": KEY,
        "stat": stat,
        "date": "2026-11-23",
        "hour": 14,
        "value": value,
        "count": 4,
        "complete": True,
        "as_of": ANY,
        **({"relative_error": 0.01} if is_estimate else {}),
    }
    assert result.status_code == 200
    assert result.headers["Content-Type"] == "application/json"
    assert result.json == expected
    assert list(result.json) == list(expected)


def test_a_summary_has_all_numbers_beside_each_other(client: falcon.testing.TestClient) -> None:
    """A summary answers with count, sum, average, min, max and percentiles at once."""
    found = client.simulate_get(f"/{KEY}/summary/2026-11-23/14").json

    numbers = ["sum", "average", "min", "max", "median", "p90", "p95", "p99", "p99.9"]
    assert list(found) == [
        *("key", "stat", "date", "hour", *numbers),
        *("count", "complete", "as_of", "relative_error"),
    ]
    assert (found["count"], found["sum"], found["min"], found["max"]) == (4, 160.0, 10.0, 100.0)
    assert found["median"] == pytest.approx(25.0, rel=0.01)


def test_a_histogram_has_buckets_in_the_place_of_a_value(client: falcon.testing.TestClient) -> None:
    """A histogram answers with the ends of each bucket and its count."""
    found = client.simulate_get(f"/{KEY}/histogram/2026-11-23/14").json

    assert "value" not in found
    assert [count for _, _, count in found["buckets"]] == [1, 1, 1, 1]
    assert (found["buckets"][0][0], found["buckets"][-1][1]) == (10.0, 100.0)


@pytest.mark.parametrize(("stat", "value"), [("under30", 0.75), ("over30", 0.25), ("over5", 1.0)])
def test_a_share_is_asked_for_by_its_limit(
    client: falcon.testing.TestClient, stat: str, value: float
) -> None:
    """under<x> and over<x> answer with the share of the messages, 0 to 1."""
    found = client.simulate_get(f"/{KEY}/{stat}/2026-11-23/14").json

    assert (found["value"], found["relative_error"]) == (value, 0.01)


def test_today_yesterday_and_now_are_by_the_clock_in_utc(connection: Connection) -> None:
    """The answer names the date and the hour that today, yesterday and now are."""
    add(connection, VALUES)
    commit(connection)
    within = float(Hour.parse(HOUR).start + 1800)
    today, tomorrow = client_of(connection, within), client_of(connection, within + 86_400)

    for client, path in (
        (today, f"/{KEY}/count/today/now"),
        (today, f"/{KEY}/count/today/14"),
        (tomorrow, f"/{KEY}/count/yesterday/14"),
    ):
        found = client.simulate_get(path).json
        assert (found["date"], found["hour"], found["value"]) == ("2026-11-23", 14, 4)
    assert tomorrow.simulate_get(f"/{KEY}/count/yesterday").json["date"] == "2026-11-23"
    for path in (f"/{KEY}/count/yesterday/now", f"/{KEY}/count/2026-11-23/now"):
        problem = assert_is_problem(today.simulate_get(path), 400)
        assert "0 to 23 (UTC), or now of today, got 'now'" in problem["detail"]


def test_an_hour_is_complete_once_it_is_over_by_the_allowed_lateness(
    connection: Connection,
) -> None:
    """METRICS_LATENESS_SECONDS after its end an hour is complete, and not before."""
    add(connection, VALUES)
    commit(connection)
    path, end = f"/{KEY}/count/2026-11-23/14", float(Hour.parse(HOUR).end)

    for lateness_s, after_s, is_complete in ((0, 0, True), (60, 59, False), (60, 60, True)):
        client = client_of(connection, end + after_s, METRICS_LATENESS_SECONDS=str(lateness_s))
        assert client.simulate_get(path).json["complete"] is is_complete


def test_an_hour_has_one_digit_or_two(connection: Connection) -> None:
    """An hour in a path has one or two digits."""
    add(connection, VALUES, hour="2026-11-23T07")
    commit(connection)
    client = client_of(connection)

    for hour in ("7", "07"):
        assert client.simulate_get(f"/{KEY}/count/2026-11-23/{hour}").json["hour"] == 7


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (f"/{KEY}/mean/2026-11-23/14", "stat must be one of average, min, max, median"),
        (f"/{KEY}/p101/2026-11-23/14", "stat must be one of"),
        (f"/{KEY}/median/2026-2-3/14", "date must be a day written YYYY-MM-DD, or today or "),
        (f"/{KEY}/median/2026-02-30/14", "date must be a day"),
        (f"/{KEY}/median/2026-11-23/24", "hour must be 0 to 23 (UTC), or now of today, got '24'"),
        (f"/{KEY}/median/2026-11-23/+1", "hour must be 0 to 23"),
        ("/a%20b/median/2026-11-23/14", "key must be 1 to 128 characters"),
    ],
)
def test_what_cannot_be_asked_is_a_bad_request_that_says_what_can(
    client: falcon.testing.TestClient, path: str, detail: str
) -> None:
    """A wrong part of a path gives a 400 that says what is allowed there."""
    assert assert_is_problem(client.simulate_get(path), 400)["detail"].startswith(detail)


def test_an_hour_without_messages_is_404(client: falcon.testing.TestClient) -> None:
    """An hour without messages gives a 404 that may not be stored."""
    result = client.simulate_get(f"/{KEY}/median/2026-11-23/15")

    assert assert_is_problem(result, 404)["detail"] == f"no messages of {KEY} in 2026-11-23T15 UTC"
    assert "no-store" in result.headers["Cache-Control"]
    assert_is_problem(client.simulate_get("/nobody/median/2026-11-23/14"), 404)


def test_an_hour_that_is_not_over_is_not_complete(connection: Connection) -> None:
    """An hour is not complete up to its last millisecond."""
    add(connection, VALUES)
    commit(connection)

    client = client_of(connection, now=AFTER - 0.001)

    assert client.simulate_get(f"/{KEY}/count/2026-11-23/14").json["complete"] is False


def test_an_hour_with_messages_in_the_backlog_is_not_complete(connection: Connection) -> None:
    """Only messages of its own hour in the backlog make an hour incomplete."""
    client = client_of(connection)
    add(connection, VALUES)
    commit(connection)
    add(connection, [1.0], hour="2026-11-23T15")
    assert client.simulate_get(f"/{KEY}/count/2026-11-23/14").json["complete"] is True

    add(connection, [50.0])
    assert client.simulate_get(f"/{KEY}/count/2026-11-23/14").json["complete"] is False

    commit(connection)
    found = client.simulate_get(f"/{KEY}/count/2026-11-23/14").json
    assert (found["complete"], found["count"]) == (True, 5)


def test_who_asks_too_soon_learns_that_messages_wait(connection: Connection) -> None:
    """An hour without messages says so, and whether some of that hour wait to be counted."""
    client = client_of(connection)
    path = f"/{KEY}/count/2026-11-23/14"
    detail = f"no messages of {KEY} in 2026-11-23T14 UTC"
    assert client.simulate_get(path).json["detail"] == detail

    add(connection, VALUES)

    waiting = client.simulate_get(path)
    assert waiting.status_code == 404
    assert (
        waiting.json["detail"] == f"{detail}; some of that hour wait to be counted: ask again soon"
    )


def test_a_complete_hour_may_be_cached_and_another_may_not(connection: Connection) -> None:
    """A complete hour may be cached for 60 seconds, and one that is not over may not."""
    add(connection, VALUES)
    commit(connection)

    complete = client_of(connection).simulate_get(f"/{KEY}/count/2026-11-23/14")
    running = client_of(connection, AFTER - 1).simulate_get(f"/{KEY}/count/2026-11-23/14")
    private = client_of(connection, METRICS_READ_TOKENS="x").simulate_get(
        f"/{KEY}/count/2026-11-23/14", headers={"Authorization": "Bearer x"}
    )

    assert complete.headers["Cache-Control"] == "public, max-age=60"
    assert running.headers["Cache-Control"] == "no-cache, no-store"
    assert private.headers["Cache-Control"] == "private, max-age=60"


def test_the_etag_changes_when_the_numbers_do(connection: Connection) -> None:
    """The ETag changes when the answer does, and only then."""
    client = client_of(connection)
    path = f"/{KEY}/max/2026-11-23/14"
    add(connection, VALUES)
    commit(connection)
    first, second = client.simulate_get(path), client.simulate_get(path)
    add(connection, [1.0])
    commit(connection)
    third = client.simulate_get(path)

    assert first.headers["ETag"] == second.headers["ETag"] != third.headers["ETag"]
    assert first.headers["ETag"].startswith('W/"')


def test_who_has_the_answer_already_gets_304(client: falcon.testing.TestClient) -> None:
    """A request with the answer's ETag gets a 304 with the ETag and no body."""
    path = f"/{KEY}/max/2026-11-23/14"
    etag = client.simulate_get(path).headers["ETag"]

    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        result = client.simulate_get(path, headers={"If-None-Match": known})
        assert (result.status_code, result.content) == (304, b"")
        assert result.headers["ETag"] == etag
    assert client.simulate_get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("header", ["If-None-Match", "Accept"])
def test_a_header_that_is_too_long_is_not_looked_at(
    client: falcon.testing.TestClient, header: str
) -> None:
    """To look at each of its parts would hold others up: the answer is JSON, whole."""
    path = f"/{KEY}/max/2026-11-23/14"
    parts = {"If-None-Match": client.simulate_get(path).headers["ETag"], "Accept": "text/csv"}
    long = ",".join([parts[header]] * 200)

    result = client.simulate_get(path, headers={header: long})

    assert (result.status_code, result.headers["Content-Type"]) == (200, "application/json")


def test_head_answers_without_a_body(client: falcon.testing.TestClient) -> None:
    """HEAD of a statistic gives a 200 with an ETag and no body."""
    result = client.simulate_head(f"/{KEY}/max/2026-11-23/14")

    assert (result.status_code, result.content) == (200, b"")
    assert "ETag" in result.headers


def test_without_redis_it_is_503() -> None:
    """Without Redis a statistic gives a 503, and the process lives and is not ready."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    client = client_of(nobody)

    result = client.simulate_get(f"/{KEY}/max/2026-11-23/14")

    assert_is_problem(result, 503)
    assert result.headers["Retry-After"] == "1"
    assert client.simulate_get("/healthz").json == {"status": "ok"}
    assert_is_problem(client.simulate_get("/readyz"), 503)


def test_a_wrong_type_is_no_answer_and_the_name_is_told(connection: Connection) -> None:
    """A name in Redis that has a wrong type makes the answer a 503 that names it."""
    for name in (PartitionNames(PARTITION).backlog, PartitionNames(PARTITION).keys):
        connection.ask(command("FLUSHALL"))
        connection.ask(command("SET", name, "x"))
        path = f"/{KEY}/max/2026-11-23/14" if "backlog" in name else "/keys"

        problem = assert_is_problem(client_of(connection).simulate_get(path), 503)

        assert name in problem["detail"]


def test_tokens_say_who_may_read_what(connection: Connection) -> None:
    """A statistic needs a token that covers its key, else the answer is 401 or 403."""
    add(connection, VALUES)
    commit(connection)
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=teller")
    teller = {"Authorization": "Bearer teller"}

    assert_is_problem(client.simulate_get(f"/{KEY}/max/2026-11-23/14"), 401)
    assert client.simulate_get(f"/{KEY}/max/2026-11-23/14", headers=teller).status_code == 200
    assert_is_problem(client.simulate_get("/other/max/2026-11-23/14", headers=teller), 403)


def test_the_cost_does_not_depend_on_the_number_of_messages(connection: Connection) -> None:
    """A statistic takes two round trips of three commands, however many messages there are."""
    asked = []

    class Counting(Connection):
        def execute(self, calls: list) -> list:
            asked.append([call.arguments[0] for call in calls])
            return connection.execute(calls)

    client = client_of(Counting(connection._topology))
    for _ in range(3):
        add(connection, VALUES * 2000)
        commit(connection)
        client.simulate_get(f"/{KEY}/median/2026-11-23/14")

    assert asked[-4:] == [["EVALSHA", "HLEN"], ["HGETALL"]] * 2
    assert connection.ask(command("HLEN", PartitionNames(PARTITION).hour(f"{HOUR}:{KEY}"))) == 8
