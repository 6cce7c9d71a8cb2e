"""A client of a chaos run reads every answer that it gets, and a missing one, correctly."""

import json

import pytest

from ops.lab.chaos.requests import CollectorConnection, Request
from ops.lab.ledger import Message
from ops.local.ports import free_port
from tests.support.fake_collector import FakeCollector, Reply

REQUEST = Request.of([Message("a", 0), Message("b", 3)], "batch/1")
WHOLE: Reply = (202, {}, b'{"accepted":2,"rejected":0}')
CUT_SHORT: Reply = (202, {"Content-Length": "1000", "Connection": "close"}, WHOLE[2])


def answered(port: int) -> tuple[str, bool]:
    """Return what is known after a request, and whether its answer was wrong."""
    connection = CollectorConnection(port)
    connection.send(REQUEST)
    answer = connection.answer(REQUEST)
    connection.hang_up()
    return answer.outcome, answer.is_wrong


def test_a_batch_is_sent_as_pairs_under_its_key(fake: FakeCollector) -> None:
    """A batch is sent as pairs under its key, and each value stands for a message's number."""
    fake.answer = lambda _: WHOLE

    assert answered(fake.port) == ("ok", False)
    (request,) = fake.requests
    assert request.key == "batch/1"
    assert json.loads(request.raw) == [["a", 1.0], ["b", 64.0]]


@pytest.mark.parametrize(
    ("status", "members", "outcome", "is_wrong"),
    [
        (202, {"accepted": 1, "rejected": 1}, "ok", True),
        (503, {"stored": "no"}, "fail", False),
        (503, {"stored": "unknown"}, "info", False),
        (400, {"detail": "short"}, "fail", True),
        (500, {"stored": "unknown"}, "info", True),
    ],
    ids=["not all", "not stored", "perhaps stored", "refused", "failed"],
)
def test_only_a_whole_202_or_a_503_is_what_a_client_may_get(
    fake: FakeCollector, status: int, members: dict[str, object], outcome: str, is_wrong: bool
) -> None:
    """Any answer but a whole 202 or a 503 is wrong."""
    fake.answer = lambda _: (status, {}, json.dumps(members).encode())

    assert answered(fake.port) == (outcome, is_wrong)


def test_an_answer_that_is_cut_short_says_nothing(fake: FakeCollector) -> None:
    """A 202 that is cut short leaves open whether the batch is stored."""
    fake.answer = lambda _: CUT_SHORT

    assert answered(fake.port) == ("info", False)


def test_where_nobody_listens_nothing_is_stored() -> None:
    """A refused connection means that nothing is stored."""
    assert answered(free_port()) == ("fail", False)


def test_a_connection_is_used_again_after_a_failure(fake: FakeCollector) -> None:
    """A connection is made again after a failure."""
    fake.script, fake.answer = [lambda _: CUT_SHORT], lambda _: WHOLE
    connection = CollectorConnection(fake.port)
    connection.send(REQUEST)
    assert connection.answer(REQUEST).outcome == "info"

    connection.send(REQUEST)
    assert connection.answer(REQUEST).outcome == "ok"
    connection.hang_up()
