"""What an answer says of a batch: which are sent again, and which never."""

import json

import pytest

from metrics.client.connection import Answer
from metrics.client.outcome import Outcome, classify


def answer(status: int, **members: object) -> Answer:
    """Return an answer whose body has these members."""
    return Answer(status, json.dumps(members).encode())


def test_202_says_how_many_count() -> None:
    """And why the others do not."""
    result = classify(
        answer(202, accepted=8, rejected=2, errors=[{"index": 0, "detail": "old"}]), 10
    )

    assert (result.outcome, result.rejected, result.detail) == (Outcome.ACCEPTED, 2, "old")


@pytest.mark.parametrize("body", [b"", b"{}", b"no json", b"[1]", b'{"rejected":"x"}', b"\xff"])
def test_202_is_enough_whatever_its_body(body: bytes) -> None:
    """It is said once the messages are stored, and a body may be cut short."""
    result = classify(Answer(202, body), 10)

    assert (result.outcome, result.rejected) == (Outcome.ACCEPTED, 0)


def test_more_cannot_be_rejected_than_were_sent() -> None:
    """Counts must stay counts."""
    assert classify(answer(202, accepted=0, rejected=99), 10).rejected == 10


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_these_are_sent_again(status: int) -> None:
    """Something is away, or busy, and will be back (as OTLP has it)."""
    assert classify(answer(status), 10).outcome is Outcome.UNAVAILABLE


PROBLEM = {"title": "a title", "detail": "told so"}


@pytest.mark.parametrize("status", [400, 422])
def test_what_a_collector_says_of_the_batch_is_final(status: int) -> None:
    """The same body would be refused again."""
    result = classify(answer(status, **PROBLEM), 10)

    assert (result.outcome, result.rejected) == (Outcome.REFUSED, 10)
    assert result.detail == f"{status} told so"


def test_a_token_that_covers_no_key_of_the_batch_is_final() -> None:
    """With one key that it covers, the values of all others would be rejected as well."""
    result = classify(answer(403, accepted=0, rejected=10, **PROBLEM), 10)

    assert (result.outcome, result.rejected) == (Outcome.REFUSED, 10)


@pytest.mark.parametrize("body", [b"<html>", json.dumps(PROBLEM).encode()])
def test_a_body_that_is_too_large_is_so_whoever_says_it(body: bytes) -> None:
    """A proxy's limit does not go away."""
    result = classify(Answer(413, body), 10)

    assert (result.outcome, result.rejected, result.is_stored) == (Outcome.TOO_LARGE, 10, False)


@pytest.mark.parametrize(
    "status", [*range(300, 309), *sorted({*range(400, 452)} - {400, 413, 422, 429})]
)
@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", json.dumps(PROBLEM).encode()])
def test_everything_else_is_said_of_the_way(status: int, body: bytes) -> None:
    """A wrong URL, a proxy, a token that was changed: they are mended, and values must wait."""
    result = classify(Answer(status, body), 10)

    assert (result.outcome, result.rejected, result.is_stored) == (Outcome.UNEXPECTED, 0, False)
    assert "?" in result.detail or "URL" in result.detail


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("body", [b"", b"<html>plain HTTP to an HTTPS port</html>", b"[]", b"{}"])
def test_a_proxys_bad_request_is_said_of_the_way(status: int, body: bytes) -> None:
    """A collector's is a problem."""
    assert classify(Answer(status, body), 10).outcome is Outcome.UNEXPECTED


@pytest.mark.parametrize("status", [200, 204, 500, 501])
def test_what_no_collector_says_is_not_taken_for_success(status: int) -> None:
    """A proxy's page that says 200 has not counted anything."""
    result = classify(Answer(status, b"<html>welcome</html>"), 10)

    assert (result.outcome, result.is_stored) == (Outcome.UNEXPECTED, True)


@pytest.mark.parametrize(
    ("status", "members", "is_stored"),
    [
        (429, {}, False),
        (503, {"stored": "no"}, False),
        (503, {"stored": "unknown"}, True),
        (503, {}, True),
        (502, {}, True),
        (504, {}, True),
        (500, {}, True),
    ],
)
def test_it_tells_what_certainly_is_not_stored(
    status: int, members: dict[str, str], is_stored: bool
) -> None:
    """Only what may be stored must be repeated in time to be recognised."""
    assert classify(answer(status, **members), 10).is_stored is is_stored


def test_what_a_collector_says_is_told_in_a_bounded_length() -> None:
    """It ends in the app's log."""
    assert len(classify(answer(400, detail="x" * 10_000), 1).detail) <= 300
    assert (
        len(classify(answer(202, rejected=1, errors=[{"detail": "x" * 10_000}]), 1).detail) <= 300
    )
