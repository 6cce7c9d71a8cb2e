"""``GET /audit`` over HTTP, with a real Redis."""

import logging

import pytest

from metrics.connection import Connection, command
from metrics.keyspace import LAYOUT, PartitionNames
from ops.local.ports import free_port
from tests.collector.test_collector import assert_is_problem
from tests.library.test_audit import Without
from tests.query.test_query import PARTITION, VALUES, add, client_of, commit
from tests.support.streams import append, batch

NOTHING = {
    "entries": {"appended": 0, "committed": 0, "dead": 0, "foreign": 0, "backlog": 0},
    "messages": {"accepted": 0, "applied": 0, "dead_messages": 0},
}


def lose_an_entry(connection: Connection, partition: int) -> None:
    """Delete an entry by hand."""
    append(connection, batch(partition=partition))
    connection.ask(command("XTRIM", PartitionNames(partition).stream, "MAXLEN", 0))


def test_the_audits_of_all_partitions_and_what_they_add_up_to(connection: Connection) -> None:
    """`/audit` shows the audit of each partition and their total, under the names in Redis."""
    add(connection, VALUES)
    commit(connection)
    append(connection, batch([1.0, 2.0], partition=2), batch(partition=3))

    result = client_of(connection).simulate_get("/audit")

    assert result.status_code == 200
    assert result.headers["Content-Type"] == "application/json"
    assert list(result.json) == ["balance", "partitions", "total"]
    assert result.json["balance"] is True
    assert result.json["total"] == {
        "entries": {"appended": 3, "committed": 1, "dead": 0, "foreign": 0, "backlog": 2},
        "messages": {"accepted": 7, "applied": 4, "dead_messages": 0},
    }
    partitions = result.json["partitions"]
    assert [each["partition"] for each in partitions] == list(range(16))
    assert partitions[PARTITION] == {
        "partition": PARTITION,
        "entries": {"appended": 1, "committed": 1, "dead": 0, "foreign": 0, "backlog": 0},
        "messages": {"accepted": 4, "applied": 4, "dead_messages": 0},
        "balance": True,
    }
    assert partitions[2] == {
        "partition": 2,
        "entries": {"appended": 1, "committed": 0, "dead": 0, "foreign": 0, "backlog": 1},
        "messages": {"accepted": 2, "applied": 0, "dead_messages": 0},
        "balance": True,
    }
    assert partitions[0] == {"partition": 0, **NOTHING, "balance": True}


def test_the_audit_may_not_be_cached(connection: Connection) -> None:
    """`/audit` has `Cache-Control: no-store` and no ETag."""
    result = client_of(connection).simulate_get("/audit")

    assert result.headers["Cache-Control"] == "no-store"
    assert "ETag" not in result.headers


def test_an_audit_that_does_not_balance_is_an_answer_and_an_error_in_the_log(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """An audit that does not balance gives a 200 and a logged error, both with the partition."""
    lose_an_entry(connection, 5)

    result = client_of(connection).simulate_get("/audit")

    assert (result.status_code, result.json["balance"]) == (200, False)
    balances = [each["balance"] for each in result.json["partitions"]]
    assert [number for number, balance in enumerate(balances) if not balance] == [5]
    assert result.json["total"]["entries"]["appended"] == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        "partition 5: the audit does not balance: PartitionAudit(partition=5, appended=1,"
    )


def test_with_a_partition_away_the_others_are_shown_and_the_total_is_unknown(
    connection: Connection,
) -> None:
    """With one partition away `/audit` shows the others and no total."""
    append(connection, batch(partition=2), batch(partition=3))
    partly = Without(connection, PartitionNames(3).stream)

    result = client_of(partly).simulate_get("/audit")

    assert result.status_code == 200
    assert (result.json["balance"], result.json["total"]) == (None, None)
    partitions = result.json["partitions"]
    assert partitions[3] == {"partition": 3, "error": "its node is away", "balance": None}
    assert partitions[2]["entries"]["appended"] == 1
    assert [each["balance"] for each in partitions] == [True] * 3 + [None] + [True] * 12


def test_one_partition_that_does_not_balance_is_enough_to_know(connection: Connection) -> None:
    """`/audit` does not balance if one partition does not, even while another one is away."""
    lose_an_entry(connection, 5)

    result = client_of(Without(connection, PartitionNames(3).stream)).simulate_get("/audit")

    assert (result.json["balance"], result.json["total"]) == (False, None)


def test_an_unsound_audit_is_shown_with_the_others(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """An unsound audit is shown as an error beside the others, and logged."""
    connection.ask(command("HSET", PartitionNames(3).audit, "dead", "many"))

    result = client_of(connection).simulate_get("/audit")

    error = "metrics:{3}:audit is not sound: dead is 'many'"
    assert (result.status_code, result.json["balance"]) == (200, None)
    assert result.json["partitions"][3] == {"partition": 3, "error": error, "balance": None}
    assert caplog.messages == [f"partition 3: {error}"]


def test_partitions_are_shown_while_the_node_with_the_layout_is_away(
    connection: Connection,
) -> None:
    """`/audit` shows the partitions while the layout is away."""
    result = client_of(Without(connection, LAYOUT)).simulate_get("/audit")

    assert (result.status_code, result.json["balance"]) == (200, True)


def test_without_redis_there_is_no_audit() -> None:
    """Without Redis `/audit` gives a 503 with Retry-After."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)

    result = client_of(nobody).simulate_get("/audit")

    detail = assert_is_problem(result, 503)["detail"]
    assert detail.startswith("no partition can be read: Redis is away")
    assert result.headers["Retry-After"] == "1"


def test_the_audit_of_another_number_of_partitions_is_not_shown(connection: Connection) -> None:
    """With another number of partitions in Redis `/audit` gives a 503."""
    connection.ask(command("HSET", LAYOUT, "partitions", 32))

    assert_is_problem(client_of(connection).simulate_get("/audit"), 503)


def test_the_audit_is_for_who_may_read_all_keys(connection: Connection) -> None:
    """`/audit` needs a token for all keys, else the answer is 401, or 403 with one for a prefix."""
    client = client_of(connection, METRICS_READ_TOKENS="checkout.*=teller,auditor")

    def ask(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    assert_is_problem(client.simulate_get("/audit"), 401)
    assert_is_problem(client.simulate_get("/audit", headers=ask("teller")), 403)
    assert client.simulate_get("/audit", headers=ask("auditor")).json["balance"] is True


def test_head_answers_without_a_body(connection: Connection) -> None:
    """HEAD of `/audit` gives a 200 without a body."""
    result = client_of(connection).simulate_head("/audit")

    assert (result.status_code, result.content) == (200, b"")
