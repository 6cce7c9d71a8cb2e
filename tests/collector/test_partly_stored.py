"""A batch with partitions that are away is partly stored, and the rest can be sent again."""

import json

import pytest

from metrics.connection import Connection
from metrics.keyspace import partition_of
from tests.collector.test_collector import accepted_in_redis, assert_is_problem, client_of, post
from tests.support.away import PartlyAway
from tests.support.streams import audit_of

pytestmark = pytest.mark.every_server

AWAY, THERE = ("a", "b")
PARTITION = partition_of(AWAY, 16)


@pytest.fixture
def partly(connection: Connection) -> PartlyAway:
    """Return the way to a Redis on which the partition of one key is away."""
    return PartlyAway(connection, [PARTITION])


BODIES = {
    "application/json": '[["b",1],["a",2],["b",-2.5],["b",4],["a",5]]',
    "application/x-ndjson": '["b",1]\n["a",2]\n["b",-2.5]\n["b",4]\n["a",5]',
    "text/plain": "b,1\na,2\nb,-2.5\nb,4\na,5",
}


@pytest.mark.parametrize("content_type", BODIES)
def test_each_message_that_is_not_stored_is_named_as_retryable(
    partly: PartlyAway, connection: Connection, content_type: str
) -> None:
    """A 503 names each message that is not stored as retryable, and each bad one without that."""
    result = post(client_of(partly), BODIES[content_type], Content_Type=content_type)

    problem = assert_is_problem(result, 503)
    assert result.headers["Retry-After"] == "1"
    assert problem["stored"] == "unknown"
    assert (problem["accepted"], problem["rejected"], problem["retryable"]) == (2, 1, 2)
    assert problem["errors"] == [
        {"index": 1, "detail": "not stored; send it again", "retryable": True},
        {"index": 2, "detail": "value must be 0 or more, got -2.5"},
        {"index": 4, "detail": "not stored; send it again", "retryable": True},
    ]
    assert problem["detail"] == (
        "2 of 4 good messages and loss reports are not stored, or may not be: away. "
        "Send those again."
    )
    assert accepted_in_redis(connection) == 2


def test_only_the_first_messages_are_named_and_all_are_counted(partly: PartlyAway) -> None:
    """A 503 names the first 20 retryable messages and counts all of them."""
    body = json.dumps([{"key": "b", "value": 1}, {"key": "a", "values": [1] * 1000}])

    problem = assert_is_problem(post(client_of(partly), body), 503)

    assert problem["retryable"] == 1000
    assert [error["index"] for error in problem["errors"]] == list(range(1, 21))


def test_a_repetition_under_its_idempotency_key_counts_the_rest_once(
    partly: PartlyAway, connection: Connection
) -> None:
    """A partly stored batch, sent again under its idempotency key, counts once in the end."""
    client = client_of(partly)
    body = BODIES["application/json"]
    for _ in range(3):
        problem = assert_is_problem(post(client, body, Idempotency_Key="1"), 503)
        assert "Send the same body under the same Idempotency-Key again." in problem["detail"]
    partly.away.clear()

    for _ in range(2):
        answer = post(client, body, Idempotency_Key="1")

        assert answer.status_code == 202
        assert (answer.json["accepted"], answer.json["rejected"]) == (4, 1)
        assert accepted_in_redis(connection) == 4
    assert audit_of(connection, PARTITION)["accepted"] == 2


def test_a_batch_does_without_the_home_of_its_key(connection: Connection) -> None:
    """A batch counts once even while the partition of its idempotency key is away."""
    key = next(f"batch-{i}" for i in range(1000) if partition_of(f"batch-{i}", 16) == PARTITION)
    client = client_of(PartlyAway(connection, [PARTITION]))

    for _ in range(2):
        assert post(client, '["b",1]', Idempotency_Key=key).status_code == 202

    assert accepted_in_redis(connection) == 1


def test_a_batch_of_which_nothing_is_stored_is_to_be_sent_again_whole(partly: PartlyAway) -> None:
    """A batch of which nothing is stored gets a 503 with `stored: no` and without `retryable`."""
    problem = assert_is_problem(post(client_of(partly), '[["a",1],["a",-1]]'), 503)

    assert problem["stored"] == "no"
    assert "retryable" not in problem
