"""The collector keeps its contract over HTTP, with a real Redis."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import falcon.testing
import pytest

from api.collector import app as collector
from api.collector import messages
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.settings import Settings
from ops.local.ports import free_port
from tests.support.streams import audit_of, hash_of

NOW = 1795442400.0 + 1800  # 2026-11-23T14:30:00Z
JSON = {"Content-Type": "application/json"}

Client = falcon.testing.TestClient


def client_of(
    connection: Connection, *, now: Callable[[], float] = lambda: NOW, **environ: str
) -> Client:
    """Return a client of a collector with these settings."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environ})
    return Client(collector.create_app(connection, settings, now=now))


@pytest.fixture
def client(connection: Connection) -> Client:
    """Return a client of a collector with the default settings."""
    return client_of(connection)


def post(client: Client, body: str | bytes, **headers: str) -> falcon.testing.Result:
    """Post messages as JSON, or as the headers say."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.simulate_post("/messages", body=body, headers={**JSON, **named})


def accepted_in_redis(connection: Connection) -> int:
    """Return how many messages the audits of all partitions count as accepted."""
    return sum(audit_of(connection, number)["accepted"] for number in range(16))


def assert_is_problem(result: falcon.testing.Result, status: int) -> dict[str, Any]:
    """Check that an answer has the shape of RFC 9457, and return it."""
    assert result.status_code == status, result.text
    assert result.headers["Content-Type"] == "application/problem+json"
    assert result.json["status"] == status
    assert result.json["title"]
    assert result.json["detail"]
    return result.json


def test_202_says_what_was_taken_and_redis_has_it(client: Client, connection: Connection) -> None:
    """A 202 gives the number of accepted messages, and Redis has them."""
    result = post(client, '[["a",1],["b",2]]')

    assert result.status_code == 202
    assert result.headers["Content-Type"] == "application/json"
    assert result.json == {"accepted": 2, "rejected": 0}
    assert accepted_in_redis(connection) == 2


def test_good_messages_are_taken_and_bad_ones_named(client: Client, connection: Connection) -> None:
    """A body with good and bad messages gets a 202 that names each bad one."""
    result = post(client, '[["a",1],["b",-2],["c",3]]')

    assert result.status_code == 202
    assert result.json == {
        "accepted": 2,
        "rejected": 1,
        "errors": [{"index": 1, "detail": "value must be 0 or more, got -2"}],
    }
    assert accepted_in_redis(connection) == 2


@pytest.mark.parametrize("body", ["[]", "", '["a",-1]', '{"key":"a","values":[]}', "not json"])
def test_nothing_good_is_a_bad_request(client: Client, connection: Connection, body: str) -> None:
    """A body without a good message gets a 400 and stores nothing."""
    assert_is_problem(post(client, body), 400)
    assert connection.ask(command("DBSIZE")) == 0


def test_all_bad_messages_are_named_in_a_bad_request(client: Client) -> None:
    """A 400 names each bad message by its index."""
    problem = assert_is_problem(post(client, '[["a",-1],["b",true]]'), 400)

    assert (problem["accepted"], problem["rejected"]) == (0, 2)
    assert [error["index"] for error in problem["errors"]] == [0, 1]


def test_a_gzipped_body_is_read(client: Client, connection: Connection) -> None:
    """A body with `Content-Encoding: gzip` is read."""
    result = post(client, gzip.compress(b'["a",1]'), Content_Encoding="gzip")

    assert result.json == {"accepted": 1, "rejected": 0}


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b'["a",1]', "gzip", 400),
        (gzip.compress(b'["a",1]', mtime=0)[:-4], "gzip", 400),
        (gzip.compress(b'["a",1]', mtime=0) + b"more", "gzip", 400),
        (gzip.compress(b" " * 9_000_000, mtime=0), "gzip", 413),
        (b'["a",1]', "br", 415),
        (b'["a",1]', "gzip, gzip", 415),
    ],
    ids=["not gzip", "cut short", "more behind it", "too long", "brotli", "twice"],
)
def test_a_body_that_cannot_be_decompressed_is_refused(
    client: Client, body: bytes, encoding: str, status: int
) -> None:
    """A body that is no sound gzip, or too long when decompressed, is refused."""
    assert_is_problem(post(client, body, Content_Encoding=encoding), status)


def test_a_body_over_the_limit_is_refused(connection: Connection) -> None:
    """A body longer than METRICS_MAX_BODY_BYTES gets a 413 that gives the limit."""
    client = client_of(connection, METRICS_MAX_BODY_BYTES="20")

    assert post(client, '["abcdefghijklmn",1]').status_code == 202
    problem = assert_is_problem(post(client, '["abcdefghijklmno",1]'), 413)
    assert "20 bytes" in problem["detail"]


def test_an_unknown_type_is_refused(client: Client) -> None:
    """An unknown content type gives a 415 that lists the known ones."""
    problem = assert_is_problem(post(client, "<a/>", Content_Type="application/xml"), 415)

    assert "application/x-ndjson" in problem["detail"]


def test_other_methods_and_paths_are_problems_too(client: Client) -> None:
    """A wrong method or path is answered with a problem."""
    assert_is_problem(client.simulate_get("/messages"), 405)
    assert_is_problem(client.simulate_get("/nothing"), 404)


def test_a_batch_under_an_idempotency_key_counts_once(
    client: Client, connection: Connection
) -> None:
    """A batch sent again under its idempotency key counts once and gets the same answer."""
    results = [post(client, '[["a",1],["b",-1]]', Idempotency_Key="batch-1") for _ in range(3)]

    assert {result.status_code for result in results} == {202}
    assert len({result.text for result in results}) == 1
    assert accepted_in_redis(connection) == 1


@pytest.mark.parametrize("second", ['["a",2]', '["b",1]', '[["a",1],["c",1]]'])
def test_another_body_under_an_idempotency_key_is_refused(
    client: Client, connection: Connection, second: str
) -> None:
    """Another body under a used idempotency key gets a 422 and is not stored."""
    assert post(client, '["a",1]', Idempotency_Key="batch-1").status_code == 202

    problem = assert_is_problem(post(client, second, Idempotency_Key="batch-1"), 422)

    assert "batch-1" in problem["detail"]
    assert accepted_in_redis(connection) == 1


def test_a_repetition_belongs_to_the_hour_of_the_first(connection: Connection) -> None:
    """A batch sent again in a later hour, after a partial append, is in the first one's hour."""
    times = [NOW]
    client = client_of(connection, now=lambda: times[0], METRICS_BACKLOG_LIMIT="1")
    body = '[["a",1],["b",1]]'
    full = PartitionNames(partition_of("b", 16))
    connection.ask(command("XADD", full.stream, "*", "in", "the way"))
    assert_is_problem(post(client, body, Idempotency_Key="batch-1"), 503)
    connection.ask(command("DEL", full.stream))
    times[0] += 3600

    assert post(client, body, Idempotency_Key="batch-1").json == {"accepted": 2, "rejected": 0}

    assert accepted_in_redis(connection) == 2
    assert hash_of(connection, full.backlog) == {"2026-11-23T14": "1"}


def test_a_bad_request_does_not_use_its_idempotency_key_up(client: Client) -> None:
    """A bad request leaves its idempotency key free for another body."""
    assert_is_problem(post(client, '["a",-1]', Idempotency_Key="batch-1"), 400)

    assert post(client, '["a",1]', Idempotency_Key="batch-1").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\there", "ümlaut"])
def test_what_cannot_be_an_idempotency_key_is_refused(client: Client, key: str) -> None:
    """An idempotency key must be 1 to 128 printable characters, else the answer is 400."""
    problem = assert_is_problem(post(client, '["a",1]', Idempotency_Key=key), 400)

    assert "Idempotency-Key must be 1 to 128 printable" in problem["detail"]


@pytest.mark.parametrize("key", ["x", "x" * 128, '"quoted"', "a {b}:* c"])
def test_an_idempotency_key_is_any_printable_text(client: Client, key: str) -> None:
    """An idempotency key can be any printable text, also with braces."""
    assert post(client, '["a",1]', Idempotency_Key=key).status_code == 202


def test_a_full_backlog_is_503_and_not_stored(connection: Connection) -> None:
    """A full backlog gives a 503 with Retry-After, and nothing of the batch is stored."""
    client = client_of(connection, METRICS_BACKLOG_LIMIT="1")
    assert post(client, '["a",1]').status_code == 202

    result = post(client, '["a",2]')

    assert assert_is_problem(result, 503)["stored"] == "no"
    assert result.headers["Retry-After"] == "1"
    assert accepted_in_redis(connection) == 1


def test_part_of_a_batch_in_a_full_backlog_is_503_and_unknown(connection: Connection) -> None:
    """A batch of which one partition is full gets a 503 with `stored: unknown`."""
    client = client_of(connection, METRICS_BACKLOG_LIMIT="1")
    assert post(client, '["a",1]').status_code == 202

    problem = assert_is_problem(post(client, '[["a",2],["b",2]]'), 503)

    assert problem["stored"] == "unknown"
    assert accepted_in_redis(connection) == 2


def test_without_redis_it_is_503_and_not_stored(connection: Connection) -> None:
    """Without Redis a post gets a 503, the process stays healthy, and it is not ready."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    client = client_of(nobody)

    result = post(client, '["a",1]', Idempotency_Key="batch-1")

    assert assert_is_problem(result, 503)["stored"] == "no"
    assert result.headers["Retry-After"] == "1"
    assert client.simulate_get("/healthz").status_code == 200
    assert_is_problem(client.simulate_get("/readyz"), 503)


def test_a_redis_of_another_layout_gets_nothing(connection: Connection) -> None:
    """A collector stores nothing in a Redis of another layout, and is not ready."""
    connection.ask(command("HSET", "metrics:layout", "partitions", "32"))
    client = client_of(connection)

    problem = assert_is_problem(post(client, '["a",1]'), 503)

    assert "partitions is 16 here and 32 in Redis" in problem["detail"]
    assert connection.ask(command("DBSIZE")) == 1
    assert_is_problem(client.simulate_get("/readyz"), 503)


def test_a_redis_of_another_layout_is_an_error_of_the_log_once_a_minute(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """What only people can put right is logged as an error, not once for each request."""
    connection.ask(command("HSET", "metrics:layout", "partitions", "32"))
    client = client_of(connection)

    for _ in range(3):
        post(client, '["a",1]')

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "partitions is 16 here and 32 in Redis" in record.getMessage()


def test_health_is_told(client: Client) -> None:
    """`/healthz` and `/readyz` answer `ok` while Redis is there."""
    assert client.simulate_get("/healthz").json == {"status": "ok"}
    assert client.simulate_get("/readyz").json == {"status": "ok"}


TOKENS = {"METRICS_WRITE_TOKENS": "everything,shop.*=shopkeeper,bar.*=shopkeeper"}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic everything"])
def test_without_a_good_token_it_is_401(connection: Connection, authorization: str | None) -> None:
    """A post without a good token gets a 401 with WWW-Authenticate, and stores nothing."""
    client = client_of(connection, **TOKENS)
    headers = {} if authorization is None else {"Authorization": authorization}

    result = post(client, '["a",1]', **headers)

    assert_is_problem(result, 401)
    assert result.headers["WWW-Authenticate"] == "Bearer"
    assert connection.ask(command("DBSIZE")) == 0


@pytest.mark.parametrize("authorization", ["Bearer everything", "bearer everything"])
def test_a_token_may_be_for_all_keys(connection: Connection, authorization: str) -> None:
    """A token without a prefix may write any key, in whichever case `Bearer` is written."""
    client = client_of(connection, **TOKENS)

    assert post(client, '["a",1]', Authorization=authorization).status_code == 202


def test_a_token_for_a_prefix_writes_only_such_keys(connection: Connection) -> None:
    """A token for prefixes may write only such keys; others are rejected, and alone a 403."""
    client = client_of(connection, **TOKENS)
    shopkeeper = {"Authorization": "Bearer shopkeeper"}

    result = post(client, '[["shop.a",1],["bar.b",2],["other",3]]', **shopkeeper)

    assert (result.json["accepted"], result.json["rejected"]) == (2, 1)
    assert result.json["errors"][0]["detail"] == "this token may not write the key other"
    assert_is_problem(post(client, '["other",1]', **shopkeeper), 403)


def test_an_idempotency_key_belongs_to_its_token(connection: Connection) -> None:
    """The same idempotency key under two tokens names two batches."""
    client = client_of(connection, METRICS_WRITE_TOKENS="one,two")

    for token, value in (("one", 1), ("two", 2), ("one", 1)):
        body = json.dumps(["a", value])
        result = post(client, body, Authorization=f"Bearer {token}", Idempotency_Key="1")
        assert result.status_code == 202

    assert accepted_in_redis(connection) == 2
    other = post(client, '["a",3]', Authorization="Bearer one", Idempotency_Key="1")
    detail = assert_is_problem(other, 422)["detail"]
    assert detail == "Idempotency-Key '1' was used for another body"


def test_a_fault_of_ours_is_a_500_without_its_text(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception gives a 500 without its text, which is in the log."""
    client = client_of(connection)
    monkeypatch.setattr(messages, "read_body", lambda *_: 1 / 0)

    problem = assert_is_problem(post(client, '["a",1]'), 500)

    assert "division" not in json.dumps(problem)
    assert "division by zero" in caplog.text
