"""``DELETE /<key>/<date>/<hour>`` removes a key-hour, and the audit still balances."""

import logging

import falcon.testing
import pytest

from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import AFTER, KEY, PARTITION, VALUES, add, client_of, commit
from tests.support.streams import append as append_batch
from tests.support.streams import assert_audit_balances, batch

PATH = f"/{KEY}/2026-11-23/14"
NAMES = PartitionNames(PARTITION)
HASH = NAMES.hour(f"2026-11-23T14:{KEY}")
TOKENS = "writer,checkout.*=teller"


def bearer(token: str) -> dict[str, str]:
    """Return the headers that show a token."""
    return {"Authorization": f"Bearer {token}"}


ALL = bearer("writer")


@pytest.fixture
def client(connection: Connection) -> falcon.testing.TestClient:
    """Return a client of a service that knows write tokens, and four messages of a key."""
    add(connection, VALUES)
    commit(connection)
    return client_of(connection, METRICS_WRITE_TOKENS=TOKENS)


def test_a_key_hour_is_removed_and_its_messages_are_in_the_audit(
    client: falcon.testing.TestClient, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A deleted key-hour is gone, logged, and in the audit, which balances as before."""
    with caplog.at_level(logging.WARNING):
        result = client.simulate_delete(PATH, headers=ALL)

    assert (result.status_code, result.json) == (
        200,
        {"key": KEY, "date": "2026-11-23", "hour": 14, "deleted": 4},
    )
    assert connection.ask(command("EXISTS", HASH)) == 0
    assert_is_problem(client.simulate_get(f"/{KEY}/max/2026-11-23/14"), 404)
    assert_audit_balances(connection, PARTITION)
    audit = client.simulate_get("/audit").json
    assert audit["total"]["messages"] == {
        "accepted": 4, "applied": 4, "dead_messages": 0, "deleted": 4,
    }  # fmt: skip
    assert audit["balance"] is True
    assert f"deleted 4 messages: {KEY} of 2026-11-23 14 UTC" in caplog.text
    assert "writer" not in caplog.text


def test_a_key_without_an_hour_makes_room(
    client: falcon.testing.TestClient, connection: Connection
) -> None:
    """A key whose last hour is deleted is no longer known; one that has another one is."""
    add(connection, [7.0], hour="2026-11-23T13")
    commit(connection)
    listed = [client.simulate_get("/keys").json["keys"]]
    for path in (PATH, f"/{KEY}/2026-11-23/13"):
        assert client.simulate_delete(path, headers=ALL).status_code == 200
        listed.append(client.simulate_get("/keys").json["keys"])

    assert [len(each) for each in listed] == [1, 1, 0]
    assert connection.ask(command("ZCARD", NAMES.keys)) == 0


def test_a_key_that_is_new_while_another_is_deleted_is_known_at_once(
    client: falcon.testing.TestClient, connection: Connection
) -> None:
    """As many keys as before are not the same keys, where one was deleted."""
    new = next(key for key in map("k-{}".format, range(999)) if partition_of(key, 16) == PARTITION)
    client.simulate_get("/keys")
    client.simulate_delete(PATH, headers=ALL)
    connection.ask(command("ZADD", NAMES.keys, 2026112314, new))

    assert [each["key"] for each in client.simulate_get("/keys").json["keys"]] == [new]


def test_what_comes_after_a_deletion_counts(
    client: falcon.testing.TestClient, connection: Connection
) -> None:
    """Messages that come after a deletion make the key-hour anew."""
    client.simulate_delete(PATH, headers=ALL)
    add(connection, [7.0])
    commit(connection)

    assert client.simulate_get(f"/{KEY}/count/2026-11-23/14").json["value"] == 1


def test_what_is_not_there_is_404(client: falcon.testing.TestClient) -> None:
    """The deletion of a key-hour that is not there gives a 404."""
    assert client.simulate_delete(PATH, headers=ALL).status_code == 200
    assert_is_problem(client.simulate_delete(PATH, headers=ALL), 404)


def test_an_hour_with_messages_in_the_backlog_is_409(
    client: falcon.testing.TestClient, connection: Connection
) -> None:
    """While messages of the hour wait in the partition, a deletion gives a 409 and does nothing."""
    append_batch(connection, batch(key=KEY, partition=PARTITION))
    problem = assert_is_problem(client.simulate_delete(PATH, headers=ALL), 409)
    assert "try again when the hour is complete" in problem["detail"]
    assert connection.ask(command("HGET", HASH, "count")) == b"4"

    commit(connection)

    assert client.simulate_delete(PATH, headers=ALL).json["deleted"] == 5


@pytest.mark.parametrize("field", ["deleted", "removed_keys"])
def test_an_audit_that_is_not_sound_is_found_before_anything_is_removed(
    client: falcon.testing.TestClient, connection: Connection, field: str
) -> None:
    """Where the deletion could not be counted, nothing is deleted."""
    connection.ask(command("HSET", PartitionNames(PARTITION).audit, field, "many"))

    assert client.simulate_delete(PATH, headers=ALL).status_code == 503
    assert connection.ask(command("EXISTS", HASH)) == 1


def test_a_key_hour_that_is_not_sound_can_be_removed(
    client: falcon.testing.TestClient, connection: Connection
) -> None:
    """A key-hour that somebody spoilt by hand can be removed, whatever it holds now."""
    connection.ask(command("HSET", HASH, "count", "many"))
    assert client.simulate_delete(PATH, headers=ALL).json["deleted"] == 0
    connection.ask(command("SET", HASH, "x"))
    assert client.simulate_delete(PATH, headers=ALL).json["deleted"] == 0
    assert connection.ask(command("EXISTS", HASH)) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("other"), 401),
        (bearer("teller"), 403),
    ],
)
def test_it_takes_a_token_that_may_write_all_keys(
    client: falcon.testing.TestClient, connection: Connection, headers: dict[str, str], status: int
) -> None:
    """A deletion takes a write token for all keys; another one gives 403, none 401."""
    assert_is_problem(client.simulate_delete(PATH, headers=headers), status)
    assert connection.ask(command("EXISTS", HASH)) == 1


def test_without_write_tokens_nothing_is_deleted(connection: Connection) -> None:
    """Where everybody may write, nobody may delete."""
    add(connection, VALUES)
    commit(connection)

    problem = assert_is_problem(client_of(connection).simulate_delete(PATH), 403)

    assert "METRICS_WRITE_TOKENS" in problem["detail"]
    assert connection.ask(command("EXISTS", HASH)) == 1


def test_a_read_token_does_not_delete(connection: Connection) -> None:
    """A token that may read all keys may not delete."""
    client = client_of(
        connection, AFTER, METRICS_READ_TOKENS="reader", METRICS_WRITE_TOKENS="writer"
    )

    assert_is_problem(client.simulate_delete(PATH, headers=bearer("reader")), 401)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (f"/{KEY}/2026-11-31/14", "date must be a day"),
        (f"/{KEY}/2026-11-23/24", "hour must be 0 to 23"),
        ("/a%20b/2026-11-23/14", "key must be 1 to 128 characters"),
        ("/checkout.*/2026-11-23/14", "key must be 1 to 128 characters"),
    ],
)
def test_what_cannot_be_deleted_is_a_bad_request(
    client: falcon.testing.TestClient, path: str, detail: str
) -> None:
    """A wrong part of the path gives a 400 that names it; a prefix is not deleted."""
    problem = assert_is_problem(client.simulate_delete(path, headers=ALL), 400)

    assert problem["detail"].startswith(detail)
