"""``GET /export/prometheus``: the last complete hour of each key, as Prometheus reads it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.time_slices import TimeSlices
from metrics import last_hours
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from ops.local.ports import free_port
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import AFTER, KEY, VALUES, add, client_of
from tests.support.fleets import commit_all
from tests.support.streams import HOUR

PATH = "/export/prometheus"
NEXT = str(Hour(Hour.parse(HOUR).number + 1))


def export(connection: Connection, query: str = "", now: float = AFTER, token: str = "") -> dict:
    """Return the samples of an export by name and labels."""
    environ = {"METRICS_READ_TOKENS": "all,checkout.*=some"} if token else {}
    result = client_of(connection, now, **environ).simulate_get(
        PATH, query_string=query, headers={"Authorization": f"Bearer {token}"}
    )
    assert result.status_code == 200, result.text
    assert result.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removeprefix("metrics_key_hour"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(result.text)
        for sample in family.samples
    }


def keys_of(samples: dict) -> set[str]:
    """Return the keys that samples are of."""
    return {labels[0] for _, *labels in samples}


def test_each_key_has_its_numbers_of_the_hour(connection: Connection) -> None:
    """Count, sum, min, max, quantiles and the hour's start are there, as the queries have them."""
    add(connection, VALUES)
    add(connection, [7.0], key="search.web-1")
    commit_all(connection)

    samples = export(connection)

    assert keys_of(samples) == {KEY, "search.web-1"}
    assert {name: samples[name, KEY] for name in ("_count", "_sum", "_min", "_max")} == {
        "_count": 4,
        "_sum": 160,
        "_min": 10,
        "_max": 100,
    }
    assert samples["_start_seconds", KEY] == Hour.parse(HOUR).start
    client = client_of(connection)
    for quantile, stat in (("0.5", "median"), ("0.99", "p99"), ("0.999", "p99.9")):
        answer = client.simulate_get(f"/{KEY}/{stat}/2026-11-23/14").json
        assert samples["", KEY, quantile] == pytest.approx(answer["value"])


def test_the_hour_is_the_last_that_is_complete_of_each_key(connection: Connection) -> None:
    """An hour that is open, or waits in the backlog, is passed over for the one before it."""
    add(connection, [1.0])
    add(connection, [2.0], hour=NEXT)
    add(connection, [3.0], key="search.web-1")
    commit_all(connection)

    def sums(after_s: float) -> dict[str, float]:
        samples = export(connection, now=AFTER + after_s)
        return {key: samples["_sum", key] for key in keys_of(samples)}

    both = {KEY: 1.0, "search.web-1": 3.0}
    assert sums(-1) == {}
    assert sums(0) == both
    assert sums(3600) == both | {KEY: 2.0}
    add(connection, [4.0], hour=NEXT)
    assert sums(3600) == both
    assert sums((last_hours.HOURS_BACK - 1) * 3600) == both
    commit_all(connection)
    assert sums(last_hours.HOURS_BACK * 3600) == {KEY: 6.0}


@pytest.mark.parametrize(
    ("token", "query", "keys"),
    [
        ("all", "", {KEY, "search.web-1"}),
        ("all", "prefix=s", {"search.web-1"}),
        ("some", "", {KEY}),
        ("some", "prefix=c", {KEY}),
        ("", "prefix=nothing", set()),
    ],
)
def test_a_token_and_a_prefix_choose_the_keys(
    connection: Connection, token: str, query: str, keys: set[str]
) -> None:
    """The answer has the keys that the token covers, of those with the prefix."""
    add(connection, VALUES)
    add(connection, [7.0], key="search.web-1")
    commit_all(connection)

    assert keys_of(export(connection, query, token=token)) == keys


def test_what_may_not_be_asked_is_a_problem(connection: Connection) -> None:
    """No token is 401, another's keys 403, an unknown parameter or a prefix that is none 400."""
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=some")
    some = {"Authorization": "Bearer some"}

    assert_is_problem(client.simulate_get(PATH), 401)
    assert_is_problem(client.simulate_get(f"{PATH}?prefix=s", headers=some), 403)
    for query, detail in {
        "prefix=%2A": "prefix must be empty or the beginning of a key",
        "limit=5": "parameters may be prefix, got 'limit'",
        "prefix=checkout.&prefix=checkout.a": "prefix must be there once, got 2",
    }.items():
        problem = assert_is_problem(client.simulate_get(f"{PATH}?{query}", headers=some), 400)
        assert problem["detail"].startswith(detail)
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    assert_is_problem(client_of(nobody).simulate_get(PATH), 503)


def test_more_keys_than_one_scrape_may_have_are_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More keys than ``KEYS_MAX`` are a 400 that tells how to ask for fewer."""
    monkeypatch.setattr(last_hours, "KEYS_MAX", 1)
    add(connection, VALUES)
    add(connection, [7.0], key="search.web-1")
    commit_all(connection)

    problem = assert_is_problem(client_of(connection).simulate_get(PATH), 400)

    assert "ask for a longer ?prefix=" in problem["detail"]
    assert keys_of(export(connection, "prefix=search")) == {"search.web-1"}


def test_a_key_that_was_written_by_hand_cannot_break_out_of_its_label(
    connection: Connection,
) -> None:
    """Quotes, backslashes and ends of lines in a key are escaped."""
    key = 'a"} 1\n\\'
    names = PartitionNames(partition_of(key, 16))
    connection.ask(command("ZADD", names.keys, Hour.parse(HOUR).digits, key))
    name = names.hour(key_hour(key, Hour.parse(HOUR)))
    fields = {"count": 1, "sum": "7.0", "min": "7.0", "max": "7.0", "b:99": 1}
    connection.ask(command("HSET", name, *[part for item in fields.items() for part in item]))

    assert keys_of(export(connection)) == {key}


def test_a_long_export_lets_others_go_on(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each key it is looked whether others are due."""
    pauses: list[TimeSlices] = []
    monkeypatch.setattr(TimeSlices, "pause_if_due", lambda self: pauses.append(self))
    for number in range(5):
        add(connection, VALUES, key=f"checkout.web-{number}")
    commit_all(connection)

    assert len(keys_of(export(connection))) == 5
    assert len(pauses) >= 5
