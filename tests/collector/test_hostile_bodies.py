"""No body holds the process up: its work is in slices, and others go on between them."""

import importlib
import json
import pkgutil
import re
import time
from collections.abc import Callable
from typing import Any

import falcon
import pytest

import api
import metrics
import workers
from api.collector.batch_builder import KEY_HOURS_MAX, BatchBuilder
from api.collector.bodies import read_body
from api.collector.bounded import LINE_LENGTH_MAX
from api.collector.json_pieces import WHOLE_BYTES_MAX
from api.collector.rejection import ERRORS_SHOWN_MAX
from api.problems import Problem
from metrics import message
from metrics.errors import InvalidMessageError
from metrics.message import parse_value, parse_weight, shown
from tests.collector.test_bodies import JSON, NOW
from tests.conftest import assert_within


def builder(pause_if_due: Callable[[], None] = lambda: None) -> BatchBuilder:
    """Return an empty builder of a batch."""
    return BatchBuilder(
        arrival=NOW, retention_days=30, may_write=lambda _: True, pause_if_due=pause_if_due
    )


def numbers_of(length: int) -> list[str]:
    """Return numbers that are hard to read, together about so long as text."""
    return ["1.2345678901234567890123456789e-290"] * (length // 36)


def array(item: str, length: int) -> bytes:
    """Return a JSON array of the same items, about so long."""
    return f"[{','.join([item] * (length // (len(item) + 1)))}]".encode()


def column(values: list[str], time: float | None = None) -> bytes:
    """Return a JSON column."""
    times = "" if time is None else f',"timestamps":{json.dumps([time] * len(values))}'
    return f'{{"key":"a","values":[{",".join(values)}]{times}}}'.encode()


def lines(line: str, length: int) -> bytes:
    """Return the same line again and again, about so long."""
    return f"{line}\n".encode() * (length // (len(line) + 1))


RFC_3339 = '{"key":"a","value":1,"timestamp":"2026-11-23T14:00:00Z"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"key":"a\xff","value":1}',
        b'[{"key":"a\xff","value":1}]',
        b'{"key":"a","value":NaN}',
        b'{"key":"a","value":1e999}',
        b'{"key":"\\ud800","value":1}',
        b'{"key":"a\\u0000","value":1}',
        '{"key":"a","value":1}'.encode("utf-16"),
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
    """A hostile body gets a 400, or is one rejected message, and raises nothing else."""
    found = builder()
    try:
        read_body("application/json", body, found)
    except Problem as error:
        assert error.status == falcon.HTTP_400  # noqa: PT017  (or it is a rejection)
    else:
        assert (found.accepted, found.rejected) == (0, 1)


def test_an_error_shows_the_beginning_of_a_long_name() -> None:
    """Of a name of 300 kB that no message has an error shows the beginning."""
    body = json.dumps([{"key": "a", "x" * 300_000: 1}]).encode()

    with pytest.raises(Problem) as raised:
        read_body(JSON, body, builder())

    assert "`xxx" in (raised.value.description or "")
    assert len(raised.value.description or "") < 500


@pytest.mark.parametrize("body", [b"a,%bx", b"a:%b|ms", b"a:1|ms|@%b", b"key=a&value=%b"])
def test_a_line_has_a_length(body: bytes) -> None:
    """A line longer than LINE_LENGTH_MAX is refused or rejected with that limit."""
    found = builder()
    try:
        read_body("application/x-www-form-urlencoded", body % (b"1" * LINE_LENGTH_MAX), found)
    except Problem as error:
        assert "at most 1024" in str(error.description)  # noqa: PT017  (or it is a rejection)
    else:
        assert "at most 1024" in found.errors[0].detail


@pytest.mark.parametrize("parse", [parse_value, parse_weight])
def test_a_number_has_a_length(parse: Callable[[str], object]) -> None:
    """A number longer than NUMBER_LENGTH_MAX is an error."""
    with pytest.raises(InvalidMessageError):
        parse("0." + "1" * message.NUMBER_LENGTH_MAX)
    parse("0." + "1" * (message.NUMBER_LENGTH_MAX - 2))


def test_what_is_shown_of_a_value_takes_no_time() -> None:
    """A shown text is cut to 60 characters, and a container is shown only by its kind."""
    assert shown([[[]]]) == "an array"
    assert shown({"a": 1}) == "an object"
    assert shown("a" * 1000) == "'" + "a" * 60 + "..."


EXPRESSIONS = {
    f"{module.name}.{name}": expression
    for package in (api, metrics, workers)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
    for name, expression in vars(importlib.import_module(module.name)).items()
    if isinstance(expression, re.Pattern)
}
HARD = [
    *("0", "1", "1.", "1e", "a", "a.", "a-", ":", "a:", "a:1|", "|", "=", " ", "}", "} ,", "} "),
    *("charset ", "charset=", "http://", "OOM ", "maxmemory:1\n", "2026-11-23T14:00:00.1"),
]


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_expressions_take_linear_time(expression: re.Pattern[Any]) -> None:
    """Every regular expression takes time in proportion to a text that nearly matches."""

    def seconds(length: int) -> float:
        begun = time.thread_time()
        for hard in HARD:
            text: Any = hard * (length // len(hard)) + "~"
            if isinstance(expression.pattern, bytes):
                text = text.encode()
            expression.fullmatch(text)
            expression.match(text)
        return time.thread_time() - begun

    assert_within(8 * seconds(2_000) + 0.03, lambda: seconds(8_000))


def test_a_text_is_made_only_for_errors_that_are_shown() -> None:
    """The text of an error is made only for the ERRORS_SHOWN_MAX errors that are shown."""
    made = 0

    class CountedError(InvalidMessageError):
        def __str__(self) -> str:
            nonlocal made
            made += 1
            return "no"

    found = builder()
    for _ in range(1000):
        found.reject(CountedError("no"))

    assert made == ERRORS_SHOWN_MAX == len(found.errors)
    assert found.rejected == 1000


@pytest.mark.parametrize(
    "item", [{"key": "a", "values": [1]}, {"key": "a", "dropped": 1}], ids=["columns", "reports"]
)
def test_many_columns_of_a_key_hour_are_one_key_and_hour(item: dict[str, object]) -> None:
    """More columns or loss reports than a body may have keys and hours are taken, if of one."""
    found = builder()

    read_body(JSON, json.dumps([item] * (KEY_HOURS_MAX + 1)).encode(), found)

    assert found.accepted + found.reports == KEY_HOURS_MAX + 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, [{"key": f"a{i}", "value": 1} for i in range(KEY_HOURS_MAX + 1)]),
        (JSON, [[f"a{i}", 1] for i in range(KEY_HOURS_MAX + 1)]),
        (JSON, [{"key": f"a{i}", "values": [1]} for i in range(KEY_HOURS_MAX + 1)]),
        (JSON, [{"key": f"a{i}", "dropped": 1} for i in range(KEY_HOURS_MAX + 1)]),
    ],
    ids=["rows", "pairs", "columns", "loss reports"],
)
def test_a_request_has_a_bounded_number_of_keys_and_hours(kind: str, body: list[object]) -> None:
    """A body of KEY_HOURS_MAX key-hours is taken, and one more gets a 413."""
    found = builder()
    read_body(kind, json.dumps(body[1:]).encode(), found)
    assert found.accepted + found.reports == KEY_HOURS_MAX

    with pytest.raises(Problem) as refused:
        read_body(kind, json.dumps(body).encode(), builder())
    assert refused.value.status == falcon.HTTP_413
    assert f"at most {KEY_HOURS_MAX} keys and hours" in str(refused.value.description)
