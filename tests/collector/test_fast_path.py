"""The fast path never gives another answer than Falcon, and never has another effect."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, StringIO

import pytest

from api.collector import app as collector
from api.collector.fast_path import BODY_BYTES_MAX, FastPath
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.settings import Settings
from ops.lab.simulation.collector import EveryKey
from ops.local.ports import free_port
from tests.processes.test_exposition import samples_in
from tests.support.away import PartlyAway
from tests.support.streams import audit_of, hash_of

NOW = 1795442400.0 + 1800  # 2026-11-23T14:30:00Z


class Whole(BytesIO):
    """A body as the project's HTTP server gives it, with the flag that all of it is there."""

    is_complete = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds the answer of an app."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def app_of(connection: Connection, **environ: str) -> FastPath:
    """Return a collector with these settings."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environ})
    app = collector.create_app(connection, settings, now=lambda: NOW, keys=EveryKey())
    assert isinstance(app, FastPath)
    return app


def ask(
    app: Callable, body: bytes, method: str = "POST", path: str = "/messages", **more: object
) -> Answer:
    """Return what an app answers to a request whose body is there."""
    started: list = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": Whole(body),
        "wsgi.errors": StringIO(),
        "wsgi.url_scheme": "http",
        **more,
    }
    content = b"".join(app(environ, lambda status, headers: started.append((status, headers))))
    ((status, headers),) = started
    return Answer(status, tuple(headers), content)


def falcon_of(app: FastPath) -> Callable:
    """Return the same collector without the fast path."""
    return app._app


PLAIN = {
    "a message": b'{"key":"a","value":1.50}',
    "rows": b'[{"key":"a","value":1},{"key":"b","value":2},{"key":"a","value":3}]',
    "columns": b'[{"key":"a","values":[1,2.50]},{"key":"b","values":[3]}]',
    "a column and a loss report": b'[{"key":"a","values":[1]},{"key":"a","dropped":17}]',
}
OTHER = {
    "pairs": b'[["a",1]]',
    "a bad message among good": b'[{"key":"a","value":1},{"key":"b","value":-1}]',
    "nothing good": b'{"key":"a","value":-1}',
    "no JSON": b"{",
    "no messages": b"[]",
    "a loss report alone": b'{"key":"a","dropped":17}',
}


@pytest.mark.parametrize("body", [*PLAIN.values(), *OTHER.values()], ids=[*PLAIN, *OTHER])
def test_answers_and_entries_are_those_of_the_regular_path(
    connection: Connection, body: bytes
) -> None:
    """The fast path and Falcon give the same answer and append the same entries, to the byte."""
    app = app_of(connection)

    def told(way: Callable) -> object:
        connection.ask(command("FLUSHALL"))
        answer = ask(way, body)
        streams = [PartitionNames(partition_of(key, 16)).stream for key in "ab"]
        entries = [
            [fields for _, fields in connection.ask(command("XRANGE", name, "-", "+"))]
            for name in streams
        ]
        return answer, entries

    assert told(app) == told(falcon_of(app))


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_falcon_is_not_asked_about_plain_requests(connection: Connection, body: bytes) -> None:
    """A plain request is answered without Falcon."""
    app = app_of(connection)
    app._app = None

    assert ask(app, body).status == "202 Accepted"


NOT_PLAIN = {
    "of another type": (b"a,1", {"CONTENT_TYPE": "text/plain"}),
    "compressed": (gzip.compress(b'["a",1]', mtime=0), {"HTTP_CONTENT_ENCODING": "gzip"}),
    "at another path": (PLAIN["a message"], {"path": "/nothing"}),
    "with another method": (b"", {"method": "GET", "path": "/healthz"}),
    "too long": (b" " * BODY_BYTES_MAX + PLAIN["a message"], {}),
}


@pytest.mark.parametrize(("body", "more"), NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_other_requests_are_left_to_falcon(
    connection: Connection, body: bytes, more: dict[str, str]
) -> None:
    """A request that is not plain gets Falcon's answer."""
    app = app_of(connection)
    assert ask(app, body, **more) == ask(falcon_of(app), body, **more)


def test_a_body_that_is_still_coming_is_left_to_falcon(connection: Connection) -> None:
    """A body that is still coming is accepted, although it is not there as a whole."""
    app = app_of(connection)

    answer = ask(app, PLAIN["a message"], **{"wsgi.input": BytesIO(PLAIN["a message"])})

    assert answer.status == "202 Accepted"


def test_a_body_over_the_limit_of_the_settings_is_refused(connection: Connection) -> None:
    """A body longer than METRICS_MAX_BODY_BYTES gets a 413 on the fast path."""
    app = app_of(connection, METRICS_MAX_BODY_BYTES="10")

    assert ask(app, PLAIN["a message"]).status.startswith("413 ")


@pytest.mark.parametrize("away", [(), (partition_of("a", 16),)], ids=["full", "full and away"])
def test_failures_are_told_as_falcon_tells_them(
    connection: Connection, away: tuple[int, ...]
) -> None:
    """A failed append gives a 503 with Retry-After, and nothing is appended twice for it."""
    redis = PartlyAway(connection, away)
    app = app_of(redis, METRICS_BACKLOG_LIMIT="1")
    body = b'[{"key":"a","value":1},{"key":"b","value":2}]'
    full = PartitionNames(partition_of("b", 16)).stream
    connection.ask(command("XADD", full, "*", "in", "the way"))

    answer = ask(app, body)

    assert answer.status.startswith("503 ")
    assert ("Retry-After", "1") in [(name.title(), value) for name, value in answer.headers]
    assert audit_of(connection, partition_of("a", 16))["appended"] == (0 if away else 1)
    assert b'"stored":"no"' in answer.body if away else b'"retryable":1' in answer.body


def test_answers_count_whichever_way_they_were_given(connection: Connection) -> None:
    """Answers of the fast path and of Falcon are counted in one series."""
    app = app_of(connection, METRICS_BACKLOG_LIMIT="1")
    for body in (PLAIN["rows"], PLAIN["rows"], OTHER["nothing good"]):
        ask(app, body)

    samples = samples_in(ask(app, b"", method="GET", path="/metrics").body.decode())

    found = {
        name.split()[-1]: value
        for name, value in samples.items()
        if name.startswith("metrics_collector_requests_total")
    }
    assert found == {"status=202": 1, "status=503": 1, "status=400": 1}


def test_its_hour_is_that_of_its_arrival(connection: Connection) -> None:
    """A message on the fast path is in the hour of its arrival by the collector's clock."""
    ask(app_of(connection), b'{"key":"a","value":1}')

    assert hash_of(connection, PartitionNames(partition_of("a", 16)).backlog) == {
        "2026-11-23T14": "1"
    }


@pytest.mark.parametrize("key", [None, "key"])
def test_while_redis_is_away_the_answer_is_that_of_the_regular_path(
    connection: Connection, key: str | None
) -> None:
    """While Redis is away, a request gets the same 503 as on Falcon's path."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    app = app_of(nobody)
    more = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}

    answer = ask(app, PLAIN["rows"], **more)

    assert answer.status.startswith("503 ")
    assert answer == ask(falcon_of(app), PLAIN["rows"], **more)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"],
)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_a_bad_request(
    connection: Connection, content_type: str, opening: bytes
) -> None:
    """A body nested 2,000 deep is 400 on both paths, and no fault of ours."""
    body = b'{"key":"a","values":' + opening * 2000
    app = app_of(connection)

    answer = ask(app, body, CONTENT_TYPE=content_type)

    assert answer.status.startswith("400 ")
    assert answer == ask(falcon_of(app), body, CONTENT_TYPE=content_type)
