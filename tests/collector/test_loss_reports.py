"""A collector takes loss reports in bodies, and names what it rejects."""

import pytest

from api.collector.batch_builder import BatchBuilder
from tests.collector.test_bodies import FORM, JSON, NDJSON, NOW, columns, read


def dropped(found: BatchBuilder) -> dict[str, int]:
    """Return what the good loss reports say: key-hour to messages dropped."""
    return {
        column.key_hour.removeprefix("2026-11-23T14:"): column.dropped
        for column in found.columns(1).get(0, [])
        if column.dropped
    }


REPORTS = {
    "alone": (JSON, '{"key":"a","dropped":17}', {"a": 17}),
    "with its hour": (
        JSON,
        f'{{"key":"a","dropped":17,"timestamp":{NOW - 3600:.0f}}}',
        {"2026-11-23T13:a": 17},
    ),
    "with its hour as RFC 3339": (
        JSON,
        '{"key":"a","dropped":17,"timestamp":"2026-11-23T13:00:00Z"}',
        {"2026-11-23T13:a": 17},
    ),
    "of one key-hour": (
        JSON,
        '[{"key":"a","dropped":1},{"key":"b","dropped":2},{"key":"a","dropped":3}]',
        {"a": 4, "b": 2},
    ),
    "the largest": (JSON, '{"key":"a","dropped":1000000000}', {"a": 10**9}),
    "ndjson": (NDJSON, '{"key":"a","dropped":17}\n{"key":"a","dropped":1}', {"a": 18}),
    "form that is JSON": (FORM, '{"key":"a","dropped":17}', {"a": 17}),
}


@pytest.mark.parametrize(("content_type", "body", "expected"), REPORTS.values(), ids=REPORTS)
def test_a_loss_report_is_taken_and_is_no_message(
    content_type: str, body: str, expected: dict[str, int]
) -> None:
    """Loss reports are taken, count as no message, and add up for each key-hour."""
    found = read(content_type, body)

    assert dropped(found) == expected
    assert (found.accepted, found.rejected, columns(found)) == (0, 0, {})
    assert found.dropped == sum(expected.values())
    assert [column.messages for column in found.columns(1)[0]] == [0] * len(expected)


BAD_REPORTS = {
    "none": ('{"key":"a","dropped":0}', "dropped must be an integer from 1 to 1000000000, got 0"),
    "negative": ('{"key":"a","dropped":-1}', "dropped must be an integer from 1 to"),
    "too many": ('{"key":"a","dropped":1000000001}', "dropped must be an integer from 1 to"),
    "boolean": ('{"key":"a","dropped":true}', "dropped must be an integer from 1 to"),
    "float": ('{"key":"a","dropped":17.0}', "dropped must be an integer from 1 to"),
    "string": ('{"key":"a","dropped":"17"}', "dropped must be an integer from 1 to"),
    "null": ('{"key":"a","dropped":null}', "dropped must be an integer from 1 to"),
    "no key": ('{"dropped":17}', "a loss report must have key"),
    "bad key": ('{"key":"a b","dropped":17}', "key must be 1 to 128 characters"),
    "bad timestamp": ('{"key":"a","dropped":17,"timestamp":1}', "timestamp must lie between"),
    "null timestamp": ('{"key":"a","dropped":17,"timestamp":null}', "timestamp must not be null"),
    "beside value": ('{"key":"a","dropped":17,"value":1}', "dropped stands beside key and"),
    "beside values": ('{"key":"a","dropped":17,"values":[1,2]}', "dropped stands beside key and"),
    "beside timestamps": ('{"key":"a","dropped":1,"timestamps":[1]}', "dropped stands beside key"),
    "unknown field": ('{"key":"a","dropped":17,"why":"full"}', "unknown field 'why'; known are"),
    "with the others too many": (
        '{"key":"good","dropped":1000000000}',
        "dropped must be at most 1000000000 of a key and hour in one request",
    ),
}


@pytest.mark.parametrize(("item", "detail"), BAD_REPORTS.values(), ids=BAD_REPORTS)
def test_a_bad_loss_report_is_named_and_the_good_ones_are_taken(item: str, detail: str) -> None:
    """A bad loss report is named by its index and its fault; good items are taken."""
    report = '{"key":"good","dropped":3}'
    found = read(JSON, f'[{report},["good",1],{item},{report},["good",-2]]')

    assert (columns(found), dropped(found)) == ({"good": "1.0"}, {"good": 6})
    assert (found.accepted, found.rejected) == (1, 2)
    assert [error.index for error in found.errors] == [2, 4]
    assert found.errors[0].detail.startswith(detail)


def test_a_loss_report_of_a_key_that_the_sender_may_not_write_is_named() -> None:
    """A loss report of a key that the token may not write is rejected as forbidden."""
    found = read(JSON, '[{"key":"other","dropped":17},{"key":"shop","dropped":1}]', "shop")

    assert dropped(found) == {"shop": 1}
    assert (found.rejected, found.forbidden) == (1, 1)
