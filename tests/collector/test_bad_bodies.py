"""What is bad in a body is named, and what is good in it is taken."""

import json

import pytest

from api.collector.rejection import ERRORS_SHOWN_MAX
from api.problems import Problem
from tests.collector.test_bodies import FORM, JSON, NDJSON, NOW, TEXT, columns, read

BAD_MESSAGES = {
    "NaN": ('{"key":"a","value":NaN}', "value must be finite, got nan"),
    "Infinity": ('{"key":"a","value":Infinity}', "value must be finite, got inf"),
    "-Infinity": ('["a",-Infinity]', "value must be finite, got -inf"),
    "too large": ('["a",1e999]', "value must be finite, got inf"),
    "a huge integer": ('["a",1' + "0" * 400 + "]", "value must be finite"),
    "negative": ('["a",-1]', "value must be 0 or more, got -1"),
    "boolean": ('["a",true]', "value must be a number, got True"),
    "string": ('["a","1"]', "value must be a number, got '1'"),
    "null": ('{"key":"a","value":null}', "value must be a number, got None"),
    "bad key": ('["a b",1]', "key must be 1 to 128 characters"),
    "a lone surrogate": ('["\\ud800",1]', "key must be 1 to 128 characters"),
    "no value": ('{"key":"a"}', "a message must have value"),
    "no key": ('{"value":1}', "a message must have key"),
    "unknown field": ('{"key":"a","value":1,"unit":"ms"}', "unknown field 'unit'; known are key"),
    "bad timestamp": ('{"key":"a","value":1,"timestamp":"now"}', "timestamp must be Unix seconds"),
    "null timestamp": ('{"key":"a","value":1,"timestamp":null}', "timestamp must not be null"),
    "milliseconds": (
        f'{{"key":"a","value":1,"timestamp":{NOW * 1000:.0f}}}',
        "timestamp must be in Unix seconds; this is in milliseconds, divide it by 1000",
    ),
    "too long a pair": ('["a",1,2]', "a message must be"),
    "a number": ("5", "a message must be"),
    "a lone value's timestamps": ('{"key":"a","value":1,"timestamps":[1]}', "timestamps stand"),
    "no array of values": ('{"key":"a","values":5}', "values must be an array"),
}


@pytest.mark.parametrize(("item", "detail"), BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_a_bad_message_is_named_and_the_good_ones_are_taken(item: str, detail: str) -> None:
    """A bad message is named by its index and the rule that it breaks; the good ones are taken."""
    found = read(JSON, f'[["good",1],{item},["good",2]]')

    assert columns(found) == {"good": "1.0,2.0"}
    assert (found.accepted, found.rejected) == (2, 1)
    assert found.errors[0].index == 1
    assert found.errors[0].detail.startswith(detail)


@pytest.mark.parametrize(
    ("column", "messages"),
    [
        ('{"key":"a","values":[1,2,3],"timestamps":[1,2]}', 3),
        ('{"key":"a","values":[1,2,3],"timestamps":5}', 3),
        (f'{{"key":"a","values":[1,2],"timestamps":[{NOW},null]}}', 2),
        ('{"key":"a","values":[1,2],"value":3}', 2),
        ('{"key":"a","values":[1,2],"unit":"ms"}', 2),
        ('{"values":[1,2]}', 2),
    ],
)
def test_a_bad_column_is_rejected_whole(column: str, messages: int) -> None:
    """A bad column is rejected as a whole, and each of its values counts as a bad message."""
    found = read(JSON, f'[{column},["good",1]]')

    assert (found.accepted, found.rejected) == (1, messages)
    assert [error.index for error in found.errors] == list(range(messages))


def test_a_bad_value_in_a_column_leaves_the_others() -> None:
    """A bad value rejects only itself, and indexes count through the values of a column."""
    found = read(JSON, '[["a",1],{"key":"b","values":[1,-1,2]},["a",-2]]')

    assert columns(found) == {"a": "1.0", "b": "1.0,2.0"}
    assert [error.index for error in found.errors] == [2, 4]


def test_a_line_of_ndjson_that_is_no_json_is_named() -> None:
    """A line of NDJSON that is no JSON is rejected, and the other lines are taken."""
    found = read(NDJSON, '["a",1]\n{"key":\n["a",2]')

    assert columns(found) == {"a": "1.0,2.0"}
    assert found.errors[0].detail.startswith("The line is not JSON")


def test_only_the_first_errors_are_told() -> None:
    """An answer lists the first ERRORS_SHOWN_MAX bad messages and counts all of them."""
    found = read(JSON, json.dumps([["a", -1]] * 1000 + [["a", 1]]))

    assert (found.accepted, found.rejected) == (1, 1000)
    assert [error.index for error in found.errors] == list(range(ERRORS_SHOWN_MAX))


def test_a_key_that_the_sender_may_not_write_is_named() -> None:
    """A key that the token may not write is named, and counted as forbidden."""
    found = read(JSON, '[["shop.a",1],["other",1],["shop.b",-1]]', may_write="shop.")

    assert columns(found) == {"shop.a": "1.0"}
    assert (found.rejected, found.forbidden) == (2, 1)
    assert found.errors[0].detail == "this token may not write the key other"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, ""),
        (JSON, "{"),
        (JSON, "[" * 100_000),
        (JSON, b"\xef\xbb\xbf[]"),
        (JSON, b'["a\xff",1]'),
        (JSON, '["a",1] ["a",2]'),
        (JSON, '["a",' + "1" * 5000 + "]"),
        (TEXT, b"a\xff,1"),
        (FORM, "key=a"),
        (FORM, "key=a&value=1&value=2"),
        (FORM, "key=a&value=1&unit=ms"),
        (FORM, b"key=a&value=\xff"),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(content_type: str, body: str | bytes) -> None:
    """A body that cannot be read raises a problem."""
    with pytest.raises(Problem):
        read(content_type, body)


def test_only_one_unknown_field_is_named() -> None:
    """Only the first of many unknown fields is named."""
    found = read(JSON, json.dumps({f"field-{i}": 1 for i in range(1000)}))

    assert found.errors[0].detail.startswith("unknown field 'field-0'; known are key")


@pytest.mark.parametrize(
    "content_type", ["application/xml", "text/html", "application/json; charset=latin-1", "json"]
)
def test_an_unknown_type_is_named(content_type: str) -> None:
    """An unknown content type raises a problem."""
    with pytest.raises(Problem):
        read(content_type, '["a",1]')
