"""The query service answers as CSV, as text for a terminal and as a drawing, too."""

import csv
import hashlib
import io
from time import thread_time
from xml.etree import ElementTree as ET

import falcon.testing
import msgspec
import pytest

from api.query import statistics
from api.query.caching import send
from metrics.connection import Connection
from metrics.hours import Hour
from tests.collector.test_collector import assert_is_problem
from tests.conftest import assert_within
from tests.query.test_query import KEY, client_of
from tests.support.fleets import fill

NOW = float(Hour.parse("2026-11-23T15").end)
DAY = "2026-11-23"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def client(connection: Connection) -> falcon.testing.TestClient:
    """Return a client of a service that knows two hours of a key, the second one still open."""
    fill(connection, {KEY: [10.0, 30.0]}, f"{DAY}T14")
    fill(connection, {KEY: [5.0, 2500.0]}, f"{DAY}T15")
    return client_of(connection, NOW)


def rows_of(client: falcon.testing.TestClient, path: str) -> list[list[str]]:
    """Ask for CSV, and return its rows."""
    result = client.simulate_get(path, headers={"Accept": "text/csv"})
    assert result.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(result.text)))


def text_of(client: falcon.testing.TestClient, path: str) -> list[str]:
    """Ask for text, and return its lines."""
    result = client.simulate_get(path, headers={"Accept": "text/plain"})
    assert result.headers["Content-Type"] == "text/plain; charset=utf-8"
    return result.text.splitlines()


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("text/html", "application/json"),
        ("no media range", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("text/csv;q=0.5, text/plain;q=0.7", "text/plain; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
    ],
)
def test_accept_chooses_the_form(
    client: falcon.testing.TestClient, accept: str, media_type: str
) -> None:
    """The form that Accept prefers is answered, and JSON where it wants none of ours more."""
    result = client.simulate_get(f"/{KEY}/max/{DAY}/14", headers={"Accept": accept})

    assert (result.status_code, result.headers["Content-Type"]) == (200, media_type)
    assert result.headers["Vary"] == "Accept"


def test_each_form_has_an_etag_of_its_own(client: falcon.testing.TestClient) -> None:
    """No two forms have the same ETag, and each answers a request that has it with 304."""
    etags = set()
    for accept in ("application/json", "text/csv", "text/plain"):
        headers = {"Accept": accept}
        etag = client.simulate_get(f"/{KEY}/max/{DAY}/14", headers=headers).headers["ETag"]
        again = client.simulate_get(
            f"/{KEY}/max/{DAY}/14", headers={**headers, "If-None-Match": etag}
        )
        assert (again.status_code, again.content) == (304, b"")
        etags.add(etag)

    assert len(etags) == 3


def test_hours_are_rows_of_csv(client: falcon.testing.TestClient) -> None:
    """CSV has a row for each hour of a day, empty where there is nothing."""
    names, *rows = rows_of(client, f"/{KEY}/max/{DAY}?compare=1d")

    assert names == [
        *("date", "hour", "value", "count", "dropped", "late", "keys", "complete", "as_of"),
        "before",
    ]
    assert len(rows) == 24
    assert rows[13] == [DAY, "13", *[""] * 8]
    assert rows[14][:8] == [DAY, "14", "30.0", "2", "", "", "", "true"]
    assert rows[15][:8] == [DAY, "15", "2500.0", "2", "", "", "", "false"]


def test_an_hour_is_one_row(client: falcon.testing.TestClient) -> None:
    """CSV of one hour has one row, with a column for each number of a summary."""
    names, row = rows_of(client, f"/{KEY}/summary/{DAY}/14")

    found = dict(zip(names, row, strict=True))
    assert (found["min"], found["max"], found["sum"], found["count"]) == (
        "10.0",
        "30.0",
        "40.0",
        "2",
    )


def test_buckets_are_rows_of_csv(client: falcon.testing.TestClient) -> None:
    """CSV of a histogram has a row for each bucket of each hour."""
    names, *rows = rows_of(client, f"/{KEY}/histogram/{DAY}")

    assert names == ["date", "hour", "lower", "upper", "count"]
    assert [(row[1], row[4]) for row in rows] == [
        ("14", "1"),
        ("14", "1"),
        ("15", "1"),
        ("15", "1"),
    ]


def test_hours_are_lines_with_bars(client: falcon.testing.TestClient) -> None:
    """Text has a line for each hour, with a bar as long as its value, in 80 columns."""
    title, *lines = text_of(client, f"/{KEY}/max/{DAY}")

    assert title == f"{KEY} max {DAY} UTC"
    assert lines[13] == "13:00           -"
    assert lines[14] == f"14:00          30 {'▌':40}           2"
    assert lines[15] == f"15:00       2,500 {'█' * 40}           2 so far"
    assert lines[24] == f"whole       2,500 {'':40}           4 so far"
    assert max(map(len, lines)) <= 80


def test_a_range_has_its_dates_in_text(client: falcon.testing.TestClient) -> None:
    """Text of a range has the date in each line."""
    title, *lines = text_of(client, f"/{KEY}/max/2026-11-22..{DAY}")

    assert title == f"{KEY} max 2026-11-22..{DAY} UTC"
    assert lines[38].startswith(f"{DAY} 14          30 ")


def test_a_summary_is_a_table_of_text(client: falcon.testing.TestClient) -> None:
    """Text of a summary has a column for each of its numbers."""
    _, names, *lines = text_of(client, f"/{KEY}/summary/{DAY}")

    assert names.split()[0] == "sum"
    assert lines[14].split()[:5] == ["14:00", "40", "20", "10", "30"]
    assert lines[24].split()[:5] == ["whole", "2,545", "636.2", "5", "2,500"]


def test_a_histogram_is_bars_of_its_buckets(connection: Connection) -> None:
    """Text of a histogram has a line for some neighbouring buckets, at most a screen of them."""
    fill(connection, {KEY: [1.02**power for power in range(200)]}, f"{DAY}T14")

    lines = text_of(client_of(connection, NOW), f"/{KEY}/histogram/{DAY}/14")[1:]

    assert 12 <= len(lines) <= 24
    assert sum(int(line.split()[-1]) for line in lines) == 200


def test_a_day_is_drawn(client: falcon.testing.TestClient) -> None:
    """The drawing of a day has a bar for each hour, and those that are open look otherwise."""
    result = client.simulate_get(f"/{KEY}/max/{DAY}.svg")

    assert result.headers["Content-Type"] == "image/svg+xml"
    drawing = ET.fromstring(result.text)
    assert [each.get("class") for each in drawing.iter(f"{SVG}rect")] == ["bar", "open"]
    heights = [float(each.get("height", "")) for each in drawing.iter(f"{SVG}rect")]
    assert heights[0] < heights[1]
    assert drawing.findtext(f"{SVG}title") == f"{KEY} max {DAY} UTC"


def test_a_summary_is_drawn_as_lines(client: falcon.testing.TestClient) -> None:
    """The drawing of a summary has lines for the median, p90 and p99."""
    drawing = ET.fromstring(client.simulate_get(f"/{KEY}/summary/{DAY}.svg").text)

    assert [each.get("class") for each in drawing.iter(f"{SVG}polyline")] == [
        "median",
        "p90",
        "p99",
    ]


def test_nothing_can_be_drawn_as_well(connection: Connection) -> None:
    """A range without messages is drawn without bars, in the zone that is asked for."""
    client = client_of(connection, NOW)

    result = client.simulate_get(f"/{KEY}/max/2026-11-01..{DAY}.svg?tz=Europe/Berlin")

    drawing = ET.fromstring(result.text)
    assert list(drawing.iter(f"{SVG}rect")) == []
    assert drawing.findtext(f"{SVG}title") == f"{KEY} max 2026-11-01..{DAY} Europe/Berlin"


def test_a_histogram_is_not_drawn(client: falcon.testing.TestClient) -> None:
    """The drawing of a histogram is refused, and says what to ask for."""
    problem = assert_is_problem(client.simulate_get(f"/{KEY}/histogram/{DAY}.svg"), 400)

    assert problem["detail"].startswith("a histogram is not drawn as svg")


def test_an_answer_has_a_bounded_number_of_buckets(
    client: falcon.testing.TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histograms of too many buckets give a 400 that says what to ask for."""
    monkeypatch.setattr(statistics, "BUCKETS_MAX", 3)

    problem = assert_is_problem(client.simulate_get(f"/{KEY}/histogram/{DAY}"), 400)

    assert problem["detail"].startswith("one answer may have 3 buckets")


def test_a_long_answer_is_recognised_hour_by_hour() -> None:
    """Others go on while its ETag is found: behind the last pause it is only put together."""
    hour = {"buckets": [[at + 0.123456789, at + 1.123456789, 17] for at in range(1000)]}
    hours = [hour] * 200
    whole = msgspec.json.encode(hours)
    since = 0.0

    def pause() -> None:
        nonlocal since
        since = thread_time()

    def share() -> float:
        begun = thread_time()
        hashlib.blake2b(whole)
        alone = thread_time() - begun
        req, resp = falcon.testing.create_req(), falcon.Response()
        send(req, resp, {"hours": hours}, is_complete=True, is_open=True, pause=pause)
        return (thread_time() - since) / alone

    assert_within(1.5, share)
