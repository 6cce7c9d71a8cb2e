"""A log drain posts frames: each counts once, and none is refused for what it leaves out."""

from base64 import b64encode
from collections.abc import Sequence

import falcon.testing
import pytest

from api.collector import key_limit
from api.collector import logplex as resource
from api.collector.pace import Pace
from metrics.connection import Connection
from metrics.errors import StorageUnavailableError
from tests.collector.test_collector import accepted_in_redis, assert_is_problem, client_of
from tests.collector.test_logplex_frame import H12, OK, logplex, octets, router
from tests.support.away import PartlyAway
from tests.support.streams import audit_of

DRAIN = {
    "Content-Type": "application/logplex-1",
    "Logplex-Drain-Token": "d.73ea7440-270a-435a-a0ea-adf50b4e5f5a",
    "Logplex-Frame-Id": "09C557EAFCFB6CF2740EE62F62971098",
    "Logplex-Msg-Count": "2",
}
LOST = logplex("Error L10 (output buffer overflow): 3 messages dropped since 2026-11-23T14:00:00")


def drain(
    client: falcon.testing.TestClient,
    *lines: bytes,
    query: str = "app=checkout",
    **headers: str,
) -> falcon.testing.Result:
    """Post a frame as Logplex does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.simulate_post(
        "/logplex", query_string=query, body=octets(lines), headers={**DRAIN, **named}
    )


def test_lines_of_the_router_are_counted(connection: Connection) -> None:
    """Router lines are stored, others ignored, and the answer says how many of each."""
    result = drain(client_of(connection), router(OK), b"<190>1 - host app web.1 - x", router(H12))

    assert result.status_code == 202
    assert result.json == {"accepted": 2, "rejected": 0, "ignored": 1}
    assert accepted_in_redis(connection) == 2


@pytest.mark.parametrize("lines", [(), (b"<190>1 - host app web.1 - starting",)], ids=["0", "1"])
def test_a_frame_without_messages_is_taken(connection: Connection, lines: Sequence[bytes]) -> None:
    """A frame in which nothing is a message gets a 2xx: else Logplex would report a loss."""
    assert drain(client_of(connection), *lines).status_code == 202


def test_a_repeated_frame_counts_once_also_with_losses_in_front(connection: Connection) -> None:
    """The second try of a frame counts nothing, though Logplex puts a line L10 in front of it."""
    client = client_of(connection)
    first, second = drain(client, router(OK)), drain(client, LOST, router(OK))

    assert (first.status_code, second.status_code) == (202, 202)
    assert accepted_in_redis(connection) == 1


def test_frames_of_other_drains_are_others(connection: Connection) -> None:
    """Two drains with one frame id count both; a drain with two ids counts both."""
    client = client_of(connection)
    for headers in ({}, {"Logplex_Drain_Token": "d.2"}, {"Logplex_Frame_Id": "0A"}):
        assert drain(client, router(OK), **headers).status_code == 202

    assert accepted_in_redis(connection) == 3


def test_another_body_under_a_frame_id_is_a_conflict(connection: Connection) -> None:
    """The same frame id with other lines is a 422: it is another frame."""
    client = client_of(connection)
    drain(client, router(OK))

    assert_is_problem(drain(client, router(H12)), 422)


def test_losses_are_reported(connection: Connection) -> None:
    """A frame with nothing but a line L10 is a loss report, and is stored."""
    assert drain(client_of(connection), LOST).json == {"accepted": 0, "rejected": 0}
    assert sum(audit_of(connection, number)["appended"] for number in range(16)) == 1


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Basic {b64encode(b'x:secret').decode()}", 202),
        ("Bearer secret", 202),
        (f"Basic {b64encode(b'secret:').decode()}", 401),
        (f"Basic {b64encode(b'x:other').decode()}", 401),
        ("Basic secret", 401),
        ("Basic s\xe9cret", 401),
        (f"Basic {b64encode(bytes([255])).decode()}", 401),
        ("", 401),
    ],
)
def test_the_password_of_the_url_is_a_token(
    connection: Connection, authorization: str, status: int
) -> None:
    """A drain's URL has room for a password: it is a write token, as a bearer token is."""
    client = client_of(connection, METRICS_WRITE_TOKENS="secret")

    assert drain(client, router(OK), Authorization=authorization).status_code == status


def test_a_password_is_no_token_for_messages(connection: Connection) -> None:
    """Only drains take Basic: a browser sends it by itself, for whatever page asks."""
    client = client_of(connection, METRICS_WRITE_TOKENS="secret")
    authorization = f"Basic {b64encode(b'x:secret').decode()}"

    assert_is_problem(
        client.simulate_post("/messages", body="a,1", headers={"Authorization": authorization}), 401
    )


@pytest.mark.parametrize(
    ("query", "headers", "status", "detail"),
    [
        ("", {}, 400, "Name the app, /logplex?app=checkout"),
        ("app=a%20b", {}, 400, "app must be the beginning of a key"),
        ("app=a", {"Content_Type": "application/json"}, 415, "application/logplex-1"),
    ],
)
def test_a_drain_that_is_set_up_wrong_is_told(
    connection: Connection, query: str, headers: dict[str, str], status: int, detail: str
) -> None:
    """What is wrong with the drain's URL or type is a 4xx that says so."""
    result = drain(client_of(connection), router(OK), query=query, **headers)

    assert detail in assert_is_problem(result, status)["detail"]


class AwayFor:
    """Stands in front of a connection, and cannot reach Redis for some calls."""

    def __init__(self, connection: Connection, failures: int) -> None:
        self._there = PartlyAway(connection)
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        """Pass on what is asked."""
        return getattr(self._there, name)

    def execute(self, calls: Sequence[object], *, replicas: int = 0) -> list:
        """Fail, or pass on the calls."""
        if self._failures:
            self._failures -= 1
            return [StorageUnavailableError("away") for _ in calls]
        return self._there.execute(calls, replicas=replicas)


def test_the_answer_waits_while_redis_is_away(connection: Connection) -> None:
    """Logplex has no second try that is worth much: the answer comes once Redis is back."""
    assert drain(client_of(AwayFor(connection, 5)), router(OK)).status_code == 202
    assert accepted_in_redis(connection) == 1


def test_the_answer_does_not_wait_longer_than_logplex(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Redis stays away the answer is a 503, before Logplex gives up."""
    monkeypatch.setattr(resource, "WAIT_S", 0.2)

    problem = assert_is_problem(drain(client_of(AwayFor(connection, 10**6)), router(OK)), 503)
    assert problem["stored"] == "no"


def test_no_more_waits_than_there_is_room_for(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes when too much waits is answered at once."""
    monkeypatch.setattr(resource, "WAITING_BYTES_MAX", 10)
    client = client_of(AwayFor(connection, 10**6))

    assert_is_problem(drain(client, router(OK)), 503)


def test_drains_are_counted_as_requests(connection: Connection) -> None:
    """The series of the collector have the requests of drains, and their messages."""
    client = client_of(connection)
    drain(client, router(OK), LOST)
    series = client.simulate_get("/metrics").text.splitlines()

    assert 'metrics_collector_requests_total{route="/logplex",status="202"} 1.0' in series
    assert "metrics_collector_messages_accepted_total 1.0" in series
    assert "metrics_collector_messages_dropped_total 3.0" in series


NEW = OK.replace("dyno=web.1", "dyno=web.9")


def pace_new_keys(patch: pytest.MonkeyPatch) -> None:
    """Have no new key let in, and nobody wait for long."""
    patch.setattr(Pace, "room", lambda _: 0)
    patch.setattr(key_limit, "WAIT_S", 0.1)


def test_known_keys_are_taken_where_new_ones_come_too_fast(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logplex sends no frame again that was 4xx: what can be taken is, and the rest is named."""
    monkeypatch.setattr(resource, "WAIT_S", 0.1)
    client = client_of(connection)
    drain(client, router(OK), Logplex_Frame_Id="0A")
    pace_new_keys(monkeypatch)

    result = drain(client, *[router(OK)] * 5, router(NEW))

    assert result.status_code == 202
    assert (result.json["accepted"], result.json["rejected"]) == (5, 1)
    assert "checkout.web.9 is new, and too many new keys" in result.json["errors"][0]["detail"]
    assert accepted_in_redis(connection) == 6


def test_a_frame_of_new_keys_that_come_too_fast_is_sent_again(connection: Connection) -> None:
    """Where nothing can be taken the answer is one upon which Logplex sends the frame again."""
    client = client_of(connection)
    with pytest.MonkeyPatch.context() as patch:
        pace_new_keys(patch)
        problem = assert_is_problem(drain(client, router(NEW)), 503)

    assert problem["stored"] == "no"
    assert drain(client, router(NEW)).json == {"accepted": 1, "rejected": 0}
