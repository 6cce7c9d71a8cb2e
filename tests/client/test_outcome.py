"""An answer decides whether a batch is sent again."""

import json

import pytest

from metrics.client.connection import Answer
from metrics.client.outcome import Outcome, classify


def answer(status: int, **members: object) -> Answer:
    """Return an answer whose body has these members."""
    return Answer(status, json.dumps(members).encode())


def test_202_says_how_many_count() -> None:
    """A 202 gives the number of rejected messages and the reason."""
    result = classify(
        answer(202, accepted=8, rejected=2, errors=[{"index": 0, "detail": "old"}]), 10
    )

    assert (result.outcome, result.rejected, result.detail) == (Outcome.ACCEPTED, 2, "old")


@pytest.mark.parametrize("body", [b"", b"{}", b"no json", b"[1]", b'{"rejected":"x"}', b"\xff"])
def test_202_is_enough_whatever_its_body(body: bytes) -> None:
    """A 202 means that the batch is accepted, whatever its body is."""
    result = classify(Answer(202, body), 10)

    assert (result.outcome, result.rejected) == (Outcome.ACCEPTED, 0)


def test_more_cannot_be_rejected_than_were_sent() -> None:
    """The number of rejected messages is at most the number sent."""
    assert classify(answer(202, accepted=0, rejected=99), 10).rejected == 10


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_these_are_sent_again(status: int) -> None:
    """A batch is sent again after 429, 502, 503 and 504, as in OTLP."""
    assert classify(answer(status), 10).outcome is Outcome.UNAVAILABLE


PROBLEM = {"title": "a title", "detail": "told so"}


@pytest.mark.parametrize("status", [400, 422])
def test_what_a_collector_says_of_the_batch_is_final(status: int) -> None:
    """A batch that a collector refuses with 400 or 422 is not sent again."""
    result = classify(answer(status, **PROBLEM), 10)

    assert (result.outcome, result.rejected) == (Outcome.REFUSED, 10)
    assert result.detail == f"{status} told so"


@pytest.mark.parametrize("status", [403, 429])
def test_a_batch_of_which_no_key_may_be_written_is_final(status: int) -> None:
    """A 403 or 429 that rejects messages by their keys refuses the batch for good."""
    result = classify(answer(status, accepted=0, rejected=10, **PROBLEM), 10)

    assert (result.outcome, result.rejected) == (Outcome.REFUSED, 10)


@pytest.mark.parametrize("body", [b"<html>", json.dumps(PROBLEM).encode()])
def test_a_body_that_is_too_large_is_so_whoever_says_it(body: bytes) -> None:
    """A 413 means that the body is too large, from a collector or a proxy."""
    result = classify(Answer(413, body), 10)

    assert (result.outcome, result.rejected, result.is_stored) == (Outcome.TOO_LARGE, 10, False)


@pytest.mark.parametrize(
    "status", [*range(300, 309), *sorted({*range(400, 452)} - {400, 413, 422, 429})]
)
@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", json.dumps(PROBLEM).encode()])
def test_everything_else_is_said_of_the_way(status: int, body: bytes) -> None:
    """Any other redirect or client error comes from a proxy, and rejects no value."""
    result = classify(Answer(status, body), 10)

    assert (result.outcome, result.rejected, result.is_stored) == (Outcome.UNEXPECTED, 0, False)
    assert "?" in result.detail or "URL" in result.detail


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("body", [b"", b"<html>plain HTTP to an HTTPS port</html>", b"[]", b"{}"])
def test_a_proxys_bad_request_is_said_of_the_way(status: int, body: bytes) -> None:
    """A 400 or 422 whose body is no problem comes from a proxy, and refuses no batch."""
    assert classify(Answer(status, body), 10).outcome is Outcome.UNEXPECTED


@pytest.mark.parametrize("status", [200, 204, 500, 501])
def test_what_no_collector_says_is_not_taken_for_success(status: int) -> None:
    """A status that no collector sends is no success, even 200; the batch may be stored."""
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
    """Only 429, and 503 with `stored: no`, mean that a batch is certainly not stored."""
    assert classify(answer(status, **members), 10).is_stored is is_stored


def test_what_a_collector_says_is_told_in_a_bounded_length() -> None:
    """The reason that a collector gives is cut to 300 characters."""
    assert len(classify(answer(400, detail="x" * 10_000), 1).detail) <= 300
    assert (
        len(classify(answer(202, rejected=1, errors=[{"detail": "x" * 10_000}]), 1).detail) <= 300
    )


@pytest.mark.parametrize("rejected", [-5, True, "1", 1.5, None])
def test_a_number_of_rejected_values_that_cannot_be_counts_as_none(rejected: object) -> None:
    """A number below 0, or what is no whole number, counts as no rejected value."""
    assert classify(answer(202, accepted=2, rejected=rejected), 2).rejected == 0


def test_a_detail_can_be_printed() -> None:
    """A detail with a lone surrogate has a question mark in its place."""
    classify(answer(400, detail="\ud800 x"), 2).detail.encode()
