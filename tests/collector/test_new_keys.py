"""Messages of new keys are refused by name once there are as many keys as there may be."""

import json
from itertools import count
from math import inf

import pytest

from api.collector.app import create_app
from api.collector.fast_path import FastPath
from api.collector.key_limit import KeyLimit, TooManyAtOnceError
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.settings import Settings
from tests.collector.test_collector import (
    NOW,
    accepted_in_redis,
    assert_is_problem,
    client_of,
    post,
)
from tests.collector.test_fast_path import ask
from tests.processes.test_exposition import scrape

FULL = "is new, and there are as many keys as METRICS_KEYS_MAX (2) allows; known keys go on"
TEXT = {"Content_Type": "text/plain"}
AGGREGATE = '{"key":"c","aggregate":{"count":2,"sum":2,"min":1,"max":1,"buckets":{"0":2}}}'


def make_room(connection: Connection, key: str) -> None:
    """Do what the end of a key's retention does."""
    connection.ask(command("ZREM", PartitionNames(partition_of(key, 16)).keys, key))


def test_good_messages_of_a_batch_are_taken_and_new_keys_named(connection: Connection) -> None:
    """Of a batch messages of known keys are taken, those of new ones named with their index."""
    client = client_of(connection, METRICS_KEYS_MAX="2")
    assert post(client, '[["a",1],["b",2]]').status_code == 202

    mixed = post(client, '[["a",1],["c",2],["b",3],["c",4],{"key":"d","dropped":3}]')

    assert mixed.status_code == 202
    assert mixed.json["accepted"] == 2
    assert mixed.json["rejected"] == 3
    assert [each["index"] for each in mixed.json["errors"]] == [1, 3, 4]
    assert mixed.json["errors"][0]["detail"] == f"the key c {FULL}"
    assert accepted_in_redis(connection) == 4


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ('{"key":"c","value":1}', {}),
        ('[["c",1],["d",1]]', {}),
        ('{"key":"c","values":[1,2,3]}', {}),
        ('[{"key":"c","dropped":3}]', {}),
        ('[["c",1],["a",-1]]', {}),
        (AGGREGATE, {}),
        ("c,1\nd,2", TEXT),
    ],
)
def test_a_request_of_new_keys_alone_is_429(
    connection: Connection, body: str, headers: dict[str, str]
) -> None:
    """A request in which nothing else is good is 429 and not stored; it says when to come again."""
    client = client_of(connection, METRICS_KEYS_MAX="2")
    post(client, '[["a",1],["b",2]]')

    answer = post(client, body, **headers)

    problem = assert_is_problem(answer, 429)
    assert answer.headers["Retry-After"] == "10"
    assert problem["stored"] == "no"
    assert problem["accepted"] == 0
    assert FULL in json.dumps(problem["errors"])
    assert accepted_in_redis(connection) == 2


def test_a_refused_request_is_taken_under_the_same_idempotency_key_once_there_is_room(
    connection: Connection,
) -> None:
    """A request that was refused as a whole may come again under its Idempotency-Key."""
    client = client_of(connection, METRICS_KEYS_MAX="1")
    post(client, '[["a",1]]')
    assert post(client, '[["b",1]]', Idempotency_Key="x").status_code == 429

    make_room(connection, "a")

    assert post(client, '[["b",1]]', Idempotency_Key="x").json["accepted"] == 1
    assert post(client, '[["b",1]]', Idempotency_Key="x").json["accepted"] == 1
    assert accepted_in_redis(connection) == 2


def test_a_request_that_waited_too_long_comes_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many new keys at once are 429 for the whole request, known keys included."""

    def refuse(*_: object) -> None:
        raise TooManyAtOnceError("too many new keys")

    client = client_of(connection)
    post(client, '[["a",1]]')
    monkeypatch.setattr(KeyLimit, "let_in", refuse)

    answer = post(client, '[["a",1],["b",1]]')

    problem = assert_is_problem(answer, 429)
    assert answer.headers["Retry-After"] == "1"
    assert problem["stored"] == "no"
    assert "rejected" not in problem  # by which a client would give them up
    assert accepted_in_redis(connection) == 1


# In one partition, so that they have one fingerprint.
TOGETHER = [f"c-{i}" for i in range(100) if partition_of(f"c-{i}", 16) == 0][:2]


def test_what_was_refused_of_a_batch_is_never_taken_for_stored(connection: Connection) -> None:
    """A repetition that has room for more than was stored is a conflict, and counts nothing."""
    client = client_of(connection, now=count(NOW).__next__, METRICS_KEYS_MAX="2")
    known, new = TOGETHER
    body = json.dumps([[known, 1], [new, 2]])
    post(client, json.dumps([[known, 1], ["a", 1]]))
    first = post(client, body, Idempotency_Key="x")
    assert (first.json["accepted"], first.json["rejected"]) == (1, 1)

    assert post(client, body, Idempotency_Key="x").json == first.json
    make_room(connection, "a")
    again = post(client, body, Idempotency_Key="x")

    assert "some keys had no room" in assert_is_problem(again, 422)["detail"]
    assert accepted_in_redis(connection) == 3


@pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "x"}])
def test_the_fast_path_knows_the_limit(connection: Connection, headers: dict[str, str]) -> None:
    """The fast path takes messages of known keys, and leaves new ones to the regular path."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", "METRICS_KEYS_MAX": "2"})
    app = create_app(connection, settings, now=lambda: NOW)
    assert isinstance(app, FastPath)
    body = b'[{"key":"a","value":1},{"key":"b","value":2}]'
    assert ask(app, body, **headers).status.startswith("202 ")

    for new in (b'{"key":"c","value":1}', b'[{"key":"c","value":1}]'):
        other = {"HTTP_IDEMPOTENCY_KEY": "y"} if headers else {}
        assert ask(app, new, **other).status[:3] == "429"
    app._app = None  # type: ignore[assignment]
    assert ask(app, b'{"key":"a","value":1}').status.startswith("202 ")
    assert accepted_in_redis(connection) == 3


def test_new_keys_beyond_those_of_the_hour_are_named(connection: Connection) -> None:
    """Beyond METRICS_NEW_KEYS_PER_HOUR known keys go on, and new ones hear when the hour ends."""
    client = client_of(connection, METRICS_NEW_KEYS_PER_HOUR="2")
    post(client, '[["a",1],["b",2]]')

    mixed = post(client, '[["a",1],["c",2]]')
    answer = post(client, '{"key":"c","value":1}')

    assert (mixed.status_code, mixed.json["accepted"], mixed.json["rejected"]) == (202, 1, 1)
    problem = assert_is_problem(answer, 429)
    assert "METRICS_NEW_KEYS_PER_HOUR (2)" in problem["detail"]
    assert 0 < int(answer.headers["Retry-After"]) <= 3_600
    samples = scrape(client)
    assert (samples["metrics_new_keys"], samples["metrics_new_keys_max"]) == (2, 2)


def test_series_tell_how_near_the_limit_is(connection: Connection) -> None:
    """A scrape tells how many keys there are, how many there may be, and what was refused."""
    client = client_of(connection, METRICS_KEYS_MAX="2")
    post(client, '[["a",1],["b",2],["c",3]]')

    samples = scrape(client)

    assert samples["metrics_keys"] == 2
    assert samples["metrics_keys_max"] == 2
    assert samples["metrics_new_keys"] == 2
    assert samples["metrics_new_keys_max"] == inf
    assert samples["metrics_collector_messages_rejected_total reason=new_key"] == 1
