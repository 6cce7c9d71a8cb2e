"""Counters, gauges and sets of StatsD: the answer says how many were ignored."""

from metrics.connection import Connection, command
from tests.collector.test_collector import accepted_in_redis, assert_is_problem, client_of, post

TEXT = "text/plain"


def test_the_answer_counts_what_was_ignored_beside_messages(connection: Connection) -> None:
    """A 202 says how many lines were ignored, if there were any."""
    client = client_of(connection)
    some = post(client, "a:1:2|ms\nb:1|c\nb:1|g|#x", Content_Type=TEXT)
    none = post(client, "a:1|ms", Content_Type=TEXT)

    assert some.status_code == none.status_code == 202
    assert some.json == {"accepted": 2, "rejected": 0, "ignored": 2}
    assert none.json == {"accepted": 1, "rejected": 0}
    assert accepted_in_redis(connection) == 3


def test_nothing_but_ignored_lines_is_no_error(connection: Connection) -> None:
    """A body of ignored lines only gets a 202, also under an Idempotency-Key; nothing is stored."""
    client = client_of(connection)
    for headers in ({}, {"Idempotency_Key": "k"}, {"Idempotency_Key": "k"}):
        result = post(client, "a:1|c", Content_Type=TEXT, **headers)

        assert result.status_code == 202
        assert result.json == {"accepted": 0, "rejected": 0, "ignored": 1}
    assert connection.ask(command("KEYS", "metrics:{*")) == []


def test_bad_lines_among_ignored_ones_are_a_bad_request(connection: Connection) -> None:
    """Where nothing is good, a bad line is a 400 that names its place among all lines."""
    problem = assert_is_problem(
        post(client_of(connection), "a:1|c\na:x|ms", Content_Type=TEXT), 400
    )

    assert (problem["accepted"], problem["rejected"], problem["ignored"]) == (0, 1, 1)
    assert problem["errors"][0]["index"] == 1
