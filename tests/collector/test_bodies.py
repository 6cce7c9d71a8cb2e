"""A collector takes bodies of several forms, and names what it rejects."""

import json

import pytest

from api.collector.batch_builder import BatchBuilder
from api.collector.bodies import read_body
from api.collector.bounded import MESSAGES_MAX
from api.collector.json_items import add_item
from api.problems import Problem
from metrics.hours import Hour

NOW = 1795442400.0 + 1800  # 2026-11-23T14:30:00Z
JSON = "application/json"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"


def builder(may_write: str = "") -> BatchBuilder:
    """Return an empty builder of a batch."""
    return BatchBuilder(
        arrival=NOW,
        retention_days=30,
        may_write=lambda key: key.startswith(may_write),
    )


def read(content_type: str | None, body: str | bytes, may_write: str = "") -> BatchBuilder:
    """Return what was read of a body."""
    found = builder(may_write)
    read_body(content_type, body.encode() if isinstance(body, str) else body, found)
    return found


def columns(found: BatchBuilder) -> dict[str, str]:
    """Return the good messages: key-hour to values."""
    return {
        column.key_hour.removeprefix("2026-11-23T14:"): column.text
        for column in found.columns(1).get(0, [])
        if not column.dropped
    }


GOOD = {
    "object": (JSON, '{"key":"a","value":123.4}', {"a": "123.4"}),
    "pair": (JSON, '["a",123.4]', {"a": "123.4"}),
    "array of objects": (
        JSON,
        '[{"key":"a","value":1},{"key":"b","value":2},{"key":"a","value":3}]',
        {"a": "1.0,3.0", "b": "2.0"},
    ),
    "array of pairs": (JSON, '[["a",1],["b",2]]', {"a": "1.0", "b": "2.0"}),
    "array of both": (JSON, '[["a",1],{"key":"b","value":2}]', {"a": "1.0", "b": "2.0"}),
    "column": (JSON, '{"key":"a","values":[123.4,98.1]}', {"a": "123.4,98.1"}),
    "array of columns": (
        JSON,
        '[{"key":"a","values":[1,2]},{"key":"b","values":[3]}]',
        {"a": "1,2", "b": "3"},
    ),
    "columns with spaces": (JSON, '{"key":"a","values":[1, 2]}', {"a": "1.0,2.0"}),
    "spaces around": (JSON, ' \n [ ["a" , 1 ] ] \n', {"a": "1.0"}),
    "a charset": ("Application/JSON; charset=UTF-8", '["a",1]', {"a": "1.0"}),
    "ndjson": (
        NDJSON,
        '{"key":"a","value":1}\n\n{"key":"b","values":[2,3]}\r\n["a",4]\n',
        {"a": "1.0,4.0", "b": "2.0,3.0"},
    ),
    "text": (TEXT, "a,123.4\nb, 98.1\n\n", {"a": "123.4", "b": "98.1"}),
    "JSON lines": ("application/jsonl", '["a",1]\n["a",2]', {"a": "1.0,2.0"}),
    "form": (FORM, "key=a&value=123.4", {"a": "123.4"}),
    "form with another order": (FORM, "value=1&key=a%3Ab", {"a:b": "1.0"}),
    "form that is JSON": (FORM, '{"key":"a","value":1}', {"a": "1.0"}),
    "form that is a JSON array": (FORM, '  [["a",1]]', {"a": "1.0"}),
    "form that is text": (FORM, "a,1\nb,2", {"a": "1.0", "b": "2.0"}),
    "form that is StatsD": (FORM, "a:1|ms|#env=prod", {"a": "1.0"}),
    "form that is in parentheses": (FORM, "(checkout.web-1,123.4)", {"checkout.web-1": "123.4"}),
    "form that is CSV": (FORM, "key,value\na,1", {"a": "1.0"}),
    "no type at all": (None, "a,1", {"a": "1.0"}),
}


@pytest.mark.parametrize(("content_type", "body", "expected"), GOOD.values(), ids=GOOD)
def test_every_form_is_taken(content_type: str | None, body: str, expected: dict[str, str]) -> None:
    """Every form of a body is taken with all its messages, each under its key."""
    found = read(content_type, body)

    assert columns(found) == expected
    assert found.accepted == sum(text.count(",") + 1 for text in expected.values())
    assert found.rejected == 0


def test_an_object_may_have_a_timestamp() -> None:
    """A message with a timestamp, as Unix seconds or RFC 3339, is in the timestamp's hour."""
    found = read(
        JSON,
        json.dumps(
            [
                {"key": "a", "value": 1, "timestamp": NOW - 3600},
                {"key": "a", "value": 2, "timestamp": "2026-11-23T14:00:00+01:00"},
                {"key": "a", "value": 3},
            ]
        ),
    )

    assert columns(found) == {"2026-11-23T13:a": "1.0,2.0", "a": "3.0"}


def test_a_column_may_have_timestamps() -> None:
    """A column can have a timestamp for each of its values."""
    found = read(JSON, json.dumps({"key": "a", "values": [1, 2], "timestamps": [NOW, NOW - 3600]}))

    assert columns(found) == {"a": "1.0", "2026-11-23T13:a": "2.0"}


def test_a_form_may_have_a_timestamp() -> None:
    """A form can have a timestamp, as Unix seconds or RFC 3339."""
    assert columns(read(FORM, f"key=a&value=1&timestamp={NOW - 3600:.0f}")) == {
        "2026-11-23T13:a": "1.0"
    }
    assert columns(read(FORM, "key=a&value=1&timestamp=2026-11-23T13:00:00Z")) == {
        "2026-11-23T13:a": "1.0"
    }


TOO_MANY = MESSAGES_MAX + 1
TINY = {
    "lines": (TEXT, "a,1\n" * TOO_MANY),
    "packed values": (TEXT, f"a{':1' * 500}|ms\n" * (TOO_MANY // 500 + 1)),
    "counters": (TEXT, "a:1|c\n" * TOO_MANY),
    "blank lines": (TEXT, "a,1" + "\n" * 8_000_000 + "a,1"),
    "lines of JSON": (NDJSON, '["a",1]\n' * TOO_MANY),
    "columns in lines of JSON": (NDJSON, ('{"key":"a","values":[1' + ",1" * 50_000 + "]}\n") * 3),
    "rows": (JSON, json.dumps([{"key": "a", "value": 1}] * TOO_MANY)),
    "pairs": (JSON, json.dumps([["a", 1]] * TOO_MANY)),
    "a column": (JSON, json.dumps({"key": "a", "values": [1] * TOO_MANY})),
    "a column of a bad key": (JSON, '{"key":"a b","values":[1' + ",1" * 3_900_000 + "]}"),
    "what is no message": (JSON, "[1" + ",1" * 3_900_000 + "]"),
    "timestamps": (JSON, '{"key":"a","values":[1],"timestamps":[1' + ",1" * 3_900_000 + "]}"),
}


@pytest.mark.parametrize(("content_type", "body"), TINY.values(), ids=TINY)
def test_a_request_has_a_bounded_number_of_messages(content_type: str, body: str) -> None:
    """A body of too many messages, however short they are, gets a 413."""
    with pytest.raises(Problem, match="413") as problem:
        read(content_type, body)

    assert "send smaller batches" in str(problem.value.description)


def test_as_many_messages_as_a_request_may_have_are_taken() -> None:
    """A body of exactly MESSAGES_MAX messages is taken."""
    assert read(TEXT, "a,1\n" * MESSAGES_MAX).accepted == MESSAGES_MAX
    assert read(JSON, json.dumps({"key": "a", "values": [1] * MESSAGES_MAX})).accepted == (
        MESSAGES_MAX
    )


@pytest.mark.parametrize(
    ("field", "detail"),
    [("key", "key must be"), ("timestamp", "timestamp must be Unix seconds")],
)
def test_what_a_column_has_once_is_looked_at_once(field: str, detail: str) -> None:
    """A column's bad key or timestamp is described once, not again for each value."""
    looked_at = 0

    class Odd:
        def __repr__(self) -> str:
            nonlocal looked_at
            looked_at += 1
            return "odd"

    found = builder()
    add_item({"key": "a", "values": [1, 2, 3], field: Odd()}, found)

    assert (found.accepted, found.rejected, looked_at) == (0, 3, 1)
    assert found.errors[2].detail.startswith(detail)


def test_messages_without_a_timestamp_belong_to_the_hour_of_their_arrival() -> None:
    """A message without a timestamp is in the hour of its arrival."""
    found = BatchBuilder(
        arrival=1795442400.0 - 0.001,
        retention_days=30,
        may_write=lambda key: True,
    )
    read_body(TEXT, b"a,1", found)

    assert list(columns(found)) == [f"{Hour.parse('2026-11-23T13')}:a"]


@pytest.mark.parametrize(
    "body",
    [
        '{"key":"a","key":"b","value":1,"value":2}',
        '[["c",3],{"key":"a","key":"b","value":1,"value":2}]',
        '[{"key":"a","key":"b","value":1,"value":2}]',
    ],
)
def test_of_two_equal_names_the_last_counts(body: str) -> None:
    """Of two equal names in an object the last one counts."""
    assert columns(read(JSON, body))["b"] == "2.0"
