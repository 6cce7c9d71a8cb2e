"""No body holds the process: its work is in slices, and others go on between them."""

import json
import re
import time
from collections.abc import Callable

import falcon
import pytest

from api.bodies import LINE_LENGTH_MAX, read_body
from api.draft import WORK_MAX, Draft
from api.json_pieces import WHOLE_BYTES_MAX
from metrics import message
from metrics.errors import InvalidMessageError
from metrics.message import parse_value, parse_weight, shown
from tests.test_bodies import NOW

MANY = 20 * WORK_MAX

WORST = {
    "pairs of what is nested": ("application/json", [["a", [[[[]]]]]] * MANY),
    "rows with float timestamps": (
        "application/json",
        [{"key": "a", "value": 1, "timestamp": NOW + 0.5}] * MANY,
    ),
    "rows of ever new keys": (
        "application/json",
        [{"key": f"a{i}", "value": 1} for i in range(MANY)],
    ),
    "loss reports": ("application/json", [{"key": "a", "dropped": 1}] * MANY),
    "unknown fields": ("application/json", [{"a": 1}] * MANY),
    "a column of texts": ("application/json", {"key": "a", "values": ["x"] * MANY}),
}
LINES = {
    "lines": ("text/plain", "a,1"),
    "lines without numbers": ("text/plain", "a,x"),
    "sampled timings": ("text/plain", "a:1|ms|@0.1"),
    "ndjson with RFC 3339": (
        "application/x-ndjson",
        '{"key":"a","value":1,"timestamp":"2026-11-23T14:00:00Z"}',
    ),
    "ndjson that is none": ("application/x-ndjson", "{"),
}
BODIES = {
    **{name: (kind, json.dumps(content).encode()) for name, (kind, content) in WORST.items()},
    **{name: (kind, "\n".join([line] * MANY).encode()) for name, (kind, line) in LINES.items()},
}


def draft(breathe: Callable[[], None] = lambda: None) -> Draft:
    """Return an empty draft."""
    return Draft(arrival=NOW, retention_days=30, may_write=lambda _: True, breathe=breathe)


@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
def test_others_go_on_again_and_again_while_a_body_is_read(kind: str, body: bytes) -> None:
    """Not once for all of it: after so many messages each time."""
    breaths = [0]

    def breathe() -> None:
        breaths[0] += 1

    found = draft(breathe)
    read_body(kind, body, found)
    found.columns(16)

    assert found.accepted + found.reports + found.rejected == MANY
    assert breaths[0] >= MANY / WORK_MAX


@pytest.mark.parametrize(
    "body",
    [
        b'{"key":"a\xff","value":1}',
        b'[{"key":"a\xff","value":1}]',
        b'{"key":"a","value":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"key":"a","value":1,"timestamp":' + b"[" * 900 + b"]" * 900 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"key":"a","value":' + b"[" * WHOLE_BYTES_MAX,
        b'{"key":"a","value":' + b"1" * 10_000 + b"}",
        b'[["a",' + b"1" * 400_000 + b"]]",
        b'"' + b"a" * WHOLE_BYTES_MAX + b'"',
        b"{" + b",".join(b'"%d":1' % i for i in range(50_000)) + b"}",
    ],
    ids=lambda body: f"{body[:12]!r} of {len(body)}",
)
def test_whatever_is_sent_is_refused_and_never_a_fault_of_ours(body: bytes) -> None:
    """400, or a message that is rejected."""
    found = draft()
    try:
        read_body("application/json", body, found)
    except falcon.HTTPError as error:
        assert error.status == falcon.HTTP_400  # noqa: PT017  (or it is a rejection)
    else:
        assert (found.accepted, found.rejected) == (0, 1)


def test_a_long_array_is_read_as_a_short_one_is() -> None:
    """Item by item, so that it may be larger than what is decoded at once."""
    items = [["a", 1.5], {"key": "b", "value": -1}, {"key": "b", "values": [1, 2]}, 7]
    short, long = draft(), draft()

    read_body("application/json", json.dumps(items).encode(), short)
    read_body("application/json", json.dumps(items).encode() + b" " * WHOLE_BYTES_MAX, long)

    assert long.columns(16) == short.columns(16)
    assert [error.detail for error in long.errors] == [error.detail for error in short.errors]


@pytest.mark.parametrize("body", [b"a,%bx", b"a:%b|ms", b"a:1|ms|@%b", b"key=a&value=%b"])
def test_a_line_has_a_length(body: bytes) -> None:
    """Nothing that a line may say is longer."""
    found = draft()
    try:
        read_body("application/x-www-form-urlencoded", body % (b"1" * LINE_LENGTH_MAX), found)
    except falcon.HTTPBadRequest as error:
        assert "at most 1024" in str(error.description)  # noqa: PT017  (or it is a rejection)
    else:
        assert "at most 1024" in found.errors[0].detail


@pytest.mark.parametrize("parse", [parse_value, parse_weight])
def test_a_number_has_a_length(parse: Callable[[str], object]) -> None:
    """The text says which."""
    with pytest.raises(InvalidMessageError):
        parse("0." + "1" * message.NUMBER_LENGTH_MAX)
    parse("0." + "1" * (message.NUMBER_LENGTH_MAX - 2))


def test_what_is_shown_of_a_value_takes_no_time() -> None:
    """A text is cut before it is escaped, and of a container only its kind is said."""
    assert shown([[[]]]) == "an array"
    assert shown({"a": 1}) == "an object"
    assert shown("a" * 1000) == "'" + "a" * 60 + "..."


EXPRESSIONS = {
    f"{module.__name__}.{name}": expression
    for module in (message,)
    for name, expression in vars(module).items()
    if isinstance(expression, re.Pattern)
}
HARD = ["1", "1.", "1e", "0", "a", "a:", ":", "a:1|", "2026-11-23T14:00:00.1"]


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_expressions_take_linear_time(expression: re.Pattern[str]) -> None:
    """Of texts that nearly match: four times the text takes four times as long, not sixteen."""

    def seconds(length: int) -> float:
        begun = time.process_time()
        for hard in HARD:
            expression.fullmatch(hard * (length // len(hard)) + "x")
        return time.process_time() - begun

    assert seconds(40_000) < 7 * seconds(10_000) + 0.5
