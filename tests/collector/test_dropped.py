"""Messages that apps report as dropped go from the collector through a hash to the answer."""

import json

import falcon.testing
import pytest

from metrics.aggregate import COUNT_MAX
from metrics.backlog import NEW, Backlog, Commit, Exceptions
from metrics.connection import Connection, command
from metrics.entry import Column, PendingEntry
from metrics.fold import fold
from metrics.keyspace import PartitionNames, partition_of
from metrics.stream import Batch
from tests.collector import test_collector
from tests.collector.test_collector import assert_is_problem, post
from tests.conftest import Clock
from tests.query import test_query
from tests.query.test_query import AFTER, KEY, PARTITION
from tests.support.aggregators import HASH, STREAM, aggregator_of, drain
from tests.support.away import PartlyAway
from tests.support.streams import (
    HOUR,
    NEVER_LATE_S,
    append,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)

NAMES = PartitionNames(PARTITION)
REPORT = json.dumps({"key": KEY, "dropped": 17, "timestamp": 1795442400})
MESSAGES = json.dumps({"key": KEY, "values": [10, 20]})
BOTH = f"[{REPORT},{MESSAGES}]"
ONE_REPORT = Batch({0: [Column.of_dropped(f"{HOUR}:checkout.web-1", 17)]})


@pytest.fixture
def collector(connection: Connection) -> falcon.testing.TestClient:
    """Return a client of a collector."""
    return test_collector.client_of(connection)


def ask(connection: Connection, stat: str = "count") -> falcon.testing.Result:
    """Ask the query service after the key-hour."""
    return test_query.client_of(connection).simulate_get(f"/{KEY}/{stat}/2026-11-23/14")


def entries_of(backlog: Backlog) -> list[PendingEntry]:
    """Read what is new in the partition of the key."""
    entries = backlog.read({PARTITION: NEW}, 100)[PARTITION]
    assert isinstance(entries, list)
    return entries


def backlog_of(connection: Connection) -> Backlog:
    """Return the partition of the key as a worker sees it."""
    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups([PARTITION])
    return backlog


def test_a_body_of_loss_reports_alone_is_accepted_as_no_message(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """Loss reports alone are stored as text and accepted as no message."""
    result = post(collector, f"[{REPORT},{REPORT}]")

    assert (result.status_code, result.json) == (202, {"accepted": 0, "rejected": 0})
    ((_, fields),) = connection.ask(command("XRANGE", NAMES.stream, "-", "+"))
    assert fields == [f"{HOUR}:{KEY}".encode(), b"dropped=34"]
    audit = audit_of(connection, PARTITION)
    assert (audit["appended"], audit["accepted"]) == (1, 0)


def test_a_bad_loss_report_counts_as_one_rejected(collector: falcon.testing.TestClient) -> None:
    """A bad loss report alone gives a 400; beside a good one it is named as rejected."""
    bad = '{"key":"a","dropped":0}'
    detail = "dropped must be an integer from 1 to 1000000000, got 0"

    problem = assert_is_problem(post(collector, bad), 400)
    assert (problem["rejected"], problem["detail"]) == (1, detail)
    assert post(collector, f"[{REPORT},{bad}]").json == {
        "accepted": 0,
        "rejected": 1,
        "errors": [{"index": 1, "detail": detail}],
    }


def test_tokens_say_who_may_report_what(connection: Connection) -> None:
    """A loss report needs a token for its key; without one it is rejected, and alone a 403."""
    client = test_collector.client_of(connection, METRICS_WRITE_TOKENS="search.*=teller")
    other = '{"key":"search.web-1","dropped":1}'

    forbidden = post(client, REPORT, Authorization="Bearer teller")
    some = post(client, f"[{REPORT},{other}]", Authorization="Bearer teller")

    assert "may not write the key" in assert_is_problem(forbidden, 403)["detail"]
    assert (some.status_code, some.json["accepted"], some.json["rejected"]) == (202, 0, 1)


def test_the_answer_says_how_many_messages_are_missing(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """An answer has `dropped` after `count` if messages are missing, and another ETag then."""
    post(collector, MESSAGES)
    test_query.commit(connection)
    before = ask(connection)
    assert "dropped" not in hash_of(connection, NAMES.hour(f"{HOUR}:{KEY}"))
    for body in (REPORT, BOTH):
        post(collector, body)
        test_query.commit(connection)
    after = ask(connection)

    assert "dropped" not in before.json
    assert (after.json["count"], after.json["dropped"]) == (4, 34)
    assert list(after.json)[-4:] == ["count", "dropped", "complete", "as_of"]
    assert before.headers["ETag"] != after.headers["ETag"]


def test_an_hour_of_which_all_was_dropped_is_404_and_says_so(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """An hour of which all was dropped gives a 404 with `dropped`; later messages count there."""
    post(collector, REPORT)
    test_query.commit(connection)

    problem = assert_is_problem(ask(connection), 404)
    assert problem["dropped"] == 17
    assert problem["detail"] == (
        f"no messages of {KEY} in {HOUR} UTC, and 17 that were dropped by their sender"
    )
    assert hash_of(connection, NAMES.hour(f"{HOUR}:{KEY}")) == {"dropped": "17"}
    assert connection.ask(command("TTL", NAMES.hour(f"{HOUR}:{KEY}"))) > 0

    post(collector, MESSAGES)
    test_query.commit(connection)
    assert (ask(connection, "max").json["value"], ask(connection).json["dropped"]) == (20.0, 17)
    assert "dropped" not in assert_is_problem(
        test_query.client_of(connection).simulate_get(f"/{KEY}/max/2026-11-23/13"), 404
    )


def test_an_hour_with_a_loss_report_in_the_backlog_is_not_complete(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """An hour is not complete while a loss report for it is in the backlog."""
    post(collector, MESSAGES)
    test_query.commit(connection)
    assert ask(connection).json["complete"] is True

    post(collector, REPORT)
    assert ask(connection).json["complete"] is False

    test_query.commit(connection)
    assert (ask(connection).json["complete"], ask(connection).json["dropped"]) == (True, 17)


def test_a_repetition_under_its_idempotency_key_reports_once(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """A loss report sent again under its idempotency key counts once."""
    for key, body in (("1", BOTH), ("1", BOTH), ("2", REPORT), ("2", REPORT)):
        assert post(collector, body, Idempotency_Key=key).status_code == 202
    test_query.commit(connection)

    assert (ask(connection).json["count"], ask(connection).json["dropped"]) == (2, 34)
    assert_audit_balances(connection, PARTITION)


def test_a_loss_report_that_is_not_stored_is_to_be_sent_again(connection: Connection) -> None:
    """A loss report that is not stored is named as retryable, and counts once when sent again."""
    partly = PartlyAway(connection, [partition_of("a", 16)])
    client = test_collector.client_of(partly)
    body = '[{"key":"b","dropped":1},{"key":"a","dropped":2},["b",1],["b",-1]]'

    problem = assert_is_problem(post(client, body, Idempotency_Key="1"), 503)
    assert (problem["accepted"], problem["rejected"], problem["retryable"]) == (1, 1, 1)
    assert [(error["index"], error.get("retryable")) for error in problem["errors"]] == [
        (1, True),
        (3, None),
    ]
    assert problem["detail"].startswith("1 of 3 good messages and loss reports are not stored")
    assert_is_problem(post(client, '{"key":"a","dropped":2}'), 503)

    partly.away.clear()
    assert post(client, body, Idempotency_Key="1").json["accepted"] == 1
    reports = {"a": [b"dropped=2"], "b": [b"1.0", b"dropped=1"]}
    for key, texts in reports.items():
        stream = PartitionNames(partition_of(key, 16)).stream
        found = connection.ask(command("XRANGE", stream, "-", "+"))
        assert sorted(text for _, fields in found for text in fields[1::2]) == texts


def test_a_late_commit_adds_no_loss_report_twice(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """The fence keeps a second commit of the same entries from adding a loss report twice."""
    post(collector, BOTH)
    backlog = backlog_of(connection)
    entries = entries_of(backlog)
    commit = Commit(PARTITION, entries, fold(entries, lateness_s=NEVER_LATE_S))

    assert backlog.commit([commit], AFTER) == [True]
    assert backlog.commit([commit], AFTER) == [False]
    assert (ask(connection).json["count"], ask(connection).json["dropped"]) == (2, 17)
    assert audit_of(connection, PARTITION)["applied"] == 2


def test_a_loss_report_is_buried_as_no_message(
    collector: falcon.testing.TestClient, connection: Connection
) -> None:
    """A loss report in a dead letter counts as no message, so that the audit balances."""
    post(collector, BOTH)
    backlog = backlog_of(connection)
    (entry,) = entries_of(backlog)

    assert backlog.dead_letter(PARTITION, entry, "a test") is True
    assert audit_of(connection, PARTITION)["dead_messages"] == 2
    assert_audit_balances(connection, PARTITION)


def commit_one_report(connection: Connection) -> object:
    """Append and commit a message of another key and a loss report; return the result."""
    key_hours = [Column(f"{HOUR}:other", "1.0", 1), Column.of_dropped(f"{HOUR}:{KEY}", 1)]
    append(connection, Batch({PARTITION: key_hours}))
    backlog = backlog_of(connection)
    entries = entries_of(backlog)
    commit = Commit(PARTITION, entries, fold(entries, lateness_s=NEVER_LATE_S))
    (result,) = backlog.commit([commit], AFTER)
    return result


@pytest.mark.parametrize("dropped", ["many", "-1", "9007199254740992", "9" * 5000])
def test_a_hash_that_cannot_take_what_was_dropped_stays_as_it_was(
    connection: Connection, dropped: str
) -> None:
    """A loss report for an unsound hash becomes a dead letter; the rest is applied."""
    name = NAMES.hour(f"{HOUR}:{KEY}")
    connection.ask(command("HSET", name, "dropped", dropped))

    assert commit_one_report(connection) == Exceptions(0, [f"{name} is not sound: dropped"], [])
    assert hash_of(connection, name) == {"dropped": dropped}
    assert hash_of(connection, NAMES.hour(f"{HOUR}:other"))["count"] == "1"
    assert connection.ask(command("XLEN", NAMES.dead)) == 1
    assert_audit_balances(connection, PARTITION)


def test_what_was_dropped_stays_at_the_most_that_is_exact(connection: Connection) -> None:
    """The count of dropped messages stops at COUNT_MAX."""
    name = NAMES.hour(f"{HOUR}:{KEY}")
    connection.ask(command("HSET", name, "dropped", COUNT_MAX - 1))

    assert commit_one_report(connection) == Exceptions(0, [], [f"{name} dropped"])
    assert commit_one_report(connection) is True
    assert hash_of(connection, name) == {"dropped": str(COUNT_MAX)}
    assert_audit_balances(connection, PARTITION)


def test_what_was_dropped_must_be_a_number_to_be_told(connection: Connection) -> None:
    """A hash whose `dropped` is no number is answered with a 500."""
    connection.ask(command("HSET", NAMES.hour(f"{HOUR}:{KEY}"), "dropped", "many"))

    assert "a count is no whole number" in assert_is_problem(ask(connection), 500)["detail"]


def test_a_worker_commits_loss_reports_of_many_requests(
    connection: Connection, clock: Clock
) -> None:
    """Loss reports of many requests share an entry, and a worker adds them up."""
    aggregator = aggregator_of(connection, clock)
    append(connection, *[ONE_REPORT] * 3, batch([5.0]))
    assert connection.ask(command("XLEN", STREAM)) == 1
    drain(aggregator)
    append(connection, ONE_REPORT)
    drain(aggregator)

    found = hash_of(connection, HASH)
    assert (found["dropped"], found["count"], found["sum"]) == ("68", "1", "5.0")
    assert_audit_balances(connection)
