"""Each sender may ask so many times a second; beyond that the answer says when to come again."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import falcon.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rate_limit
from api.rate_limit import Rate
from metrics.connection import Connection
from tests.collector.test_collector import assert_is_problem, client_of, post
from tests.conftest import Clock
from tests.query.test_query import client_of as query_of


@given(
    per_second=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_a_sender_is_let_in_as_often_as_the_rate_says_and_when_it_was_due(
    per_second: int, pauses: list[float]
) -> None:
    """A sender is let in at most (t + 1) times the rate in t seconds, and when it was due."""
    clock = Clock()
    rate = Rate(per_second, clock)
    taken = 0
    for pause in pauses:
        clock.seconds += pause
        wait_s = rate.take("a")
        taken += not wait_s
        if wait_s:
            clock.seconds += wait_s
            assert rate.take("a") == 0.0
            taken += 1

    assert taken <= (clock.seconds + 1) * per_second + 1e-6


def test_senders_do_not_share_a_rate(clock: Clock) -> None:
    """What one sender does takes nothing from another."""
    rate = Rate(2, clock)

    assert [rate.take("a") for _ in range(2)] == [0.0, 0.0]
    assert rate.take("a") == pytest.approx(0.5)
    assert rate.take("b") == 0.0


def test_few_senders_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many senders come, no more than SENDERS_MAX are remembered."""
    monkeypatch.setattr(rate_limit, "SENDERS_MAX", 10)
    rate = Rate(1, clock)

    for sender in map(str, range(100)):
        assert rate.take(sender) == 0.0

    assert len(rate._due) == 10
    assert rate.take("99") > 0


def test_a_sender_that_goes_on_coming_is_not_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many new senders come, one that is over its rate stays so while it goes on."""
    monkeypatch.setattr(rate_limit, "SENDERS_MAX", 10)
    rate = Rate(1, clock)
    rate.take("a")

    for sender in map(str, range(100)):
        rate.take(sender)
        assert rate.take("a") > 0


@pytest.mark.parametrize("remembered", [10, 3_000])
def test_a_new_sender_costs_the_same_however_many_are_remembered(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    """One sender more than are remembered takes a few dozen steps, not one for each of them."""
    monkeypatch.setattr(rate_limit, "SENDERS_MAX", remembered)
    rate = Rate(1, clock)
    for sender in range(remembered):
        rate.take(f"before-{sender}")

    assert max(steps_of(lambda i=i: rate.take(f"new-{i}")) for i in range(5)) < 200


def steps_of(function: Callable[[], object]) -> int:
    """Return how many steps of the interpreter a function takes."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return steps


def assert_refused(answer: falcon.testing.Result) -> None:
    """Check that an answer says when to come again."""
    assert assert_is_problem(answer, 429)["stored"] == "no"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["RateLimit-Policy"] == '"requests";q=1;w=1'
    assert answer.headers["RateLimit"] == '"requests";r=0;t=1'
    assert answer.headers["RateLimit-Limit"] == "1"
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert answer.headers["RateLimit-Reset"] == "1"


def test_beyond_the_rate_a_collector_answers_429(connection: Connection) -> None:
    """Without tokens an address has the rate; probes and scrapes may always come."""
    client = client_of(connection, METRICS_REQUESTS_PER_SECOND="1")

    answers = [post(client, '{"key":"a","value":1}') for _ in range(20)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:1]] == [202]
    assert_refused(refused[0])
    assert client.simulate_get("/healthz").status_code == 200
    counted = f'metrics_collector_requests_total{{route="none",status="429"}} {len(refused)}.0'
    assert counted in client.simulate_get("/metrics").text


def test_each_token_has_the_rate_and_those_that_are_none_share_one(connection: Connection) -> None:
    """With tokens each of them has the rate; without a good one the address has it."""
    client = client_of(
        connection, METRICS_REQUESTS_PER_SECOND="1", METRICS_WRITE_TOKENS="one,other"
    )

    def statuses(token: str) -> set[int]:
        body = '{"key":"a","value":1}'
        answers = [post(client, body, Authorization=f"Bearer {token}") for _ in range(20)]
        return {answer.status_code for answer in answers}

    assert statuses("one") == {202, 429}
    assert post(client, '{"key":"a","value":1}', Authorization="Bearer other").status_code == 202
    assert statuses("bad") == {401, 429}


def test_beyond_the_rate_a_query_service_answers_429(connection: Connection) -> None:
    """The query service has the same limit."""
    client = query_of(connection, METRICS_REQUESTS_PER_SECOND="1")

    answers = [client.simulate_get("/keys") for _ in range(20)]

    assert_refused(next(answer for answer in answers if answer.status_code == 429))


def test_a_page_may_read_that_it_asks_too_often(connection: Connection) -> None:
    """The 429 has what other answers have for pages of listed origins; preflights do not count."""
    origin = "https://shop.example"
    client = query_of(connection, METRICS_REQUESTS_PER_SECOND="1", METRICS_ALLOWED_ORIGINS=origin)
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}

    for _ in range(20):
        asked = client.simulate_options("/keys", headers=preflight)
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, origin)
    answers = [client.simulate_get("/keys", headers={"Origin": origin}) for _ in range(20)]

    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["Access-Control-Allow-Origin"] == origin
    assert refused.headers["Vary"] == "Origin"
    assert "RateLimit" in refused.headers["Access-Control-Expose-Headers"]
