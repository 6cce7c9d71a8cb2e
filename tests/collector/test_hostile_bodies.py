"""No body holds the process up: its work is in slices, and others go on between them."""

import contextlib
import importlib
import json
import math
import pkgutil
import re
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import falcon
import pytest

import api
import metrics
import workers
from api.collector.batch_builder import KEY_HOURS_MAX, WORK_MAX, BatchBuilder
from api.collector.bodies import read_body
from api.collector.bounded import LINE_LENGTH_MAX
from api.collector.json_pieces import WHOLE_BYTES_MAX
from api.collector.rejection import ERRORS_SHOWN_MAX
from api.problems import Problem
from metrics import message
from metrics.entry import pack
from metrics.errors import InvalidMessageError
from metrics.message import parse_value, parse_weight, shown
from tests.collector.test_bodies import JSON, NDJSON, NOW, TEXT
from tests.conftest import assert_within

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
    "counters": ("text/plain", "a:1|c"),
    "rows of CSV": ("text/csv", '("a", "1")'),
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


def builder(pause_if_due: Callable[[], None] = lambda: None) -> BatchBuilder:
    """Return an empty builder of a batch."""
    return BatchBuilder(
        arrival=NOW, retention_days=30, may_write=lambda _: True, pause_if_due=pause_if_due
    )


@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
def test_others_go_on_again_and_again_while_a_body_is_read(kind: str, body: bytes) -> None:
    """Reading a body pauses for others at least once in every WORK_MAX messages."""
    breaths = [0]

    def pause_if_due() -> None:
        breaths[0] += 1

    found = builder(pause_if_due)
    read_body(kind, body, found)
    found.columns(16)

    assert found.accepted + found.reports + found.rejected + found.ignored == MANY
    assert breaths[0] >= MANY / WORK_MAX


def test_others_go_on_while_it_is_looked_for_new_keys() -> None:
    """Where a body has many keys, others go on while each is looked at."""
    breaths = [0]

    def pause_if_due() -> None:
        breaths[0] += 1

    found = builder(pause_if_due)
    read_body(*BODIES["rows of ever new keys"], found)
    before = breaths[0]
    assert len(found.keys(lambda _: True)) == MANY

    assert breaths[0] - before >= MANY / WORK_MAX


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


ONE_NAME = "{" + '"key":"a",' * 2000 + '"value":1}'
RFC_3339 = '{"key":"a","value":1,"timestamp":"2026-11-23T14:00:00Z"}'
FORMS: dict[str, Callable[[int], tuple[str, bytes]]] = {
    "rows": lambda n: (JSON, array('{"key":"checkout.web-1","value":123.4}', n)),
    "rows and a bad one": lambda n: (JSON, array('{"key":"a","value":1}', n)[:-1] + b",7]"),
    "rows with times": lambda n: (JSON, array(f'{{"key":"a","value":1,"timestamp":{NOW}}}', n)),
    "pairs": lambda n: (JSON, array('["checkout.web-1",123.4]', n)),
    "nested pairs": lambda n: (JSON, array('["a",[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]', n)),
    "objects of one name": lambda n: (JSON, array(ONE_NAME, n)),
    "a column": lambda n: (JSON, column(numbers_of(n))),
    "a column and a bad value": lambda n: (JSON, column([*numbers_of(n), "-1"])),
    "a column of texts": lambda n: (JSON, column(['"0123456789"'] * (n // 13))),
    "a column with times": lambda n: (JSON, column(["1.5"] * (n // 16), int(NOW))),
    "a column with float times": lambda n: (JSON, column(["1.5"] * (n // 16), NOW)),
    "reports": lambda n: (JSON, array('{"key":"checkout.web-1","dropped":1}', n)),
    "lines": lambda n: (TEXT, lines("checkout.web-1,123.4", n)),
    "sampled lines": lambda n: (TEXT, lines("checkout.web-1:1|ms|@0.1", n)),
    "packed timings": lambda n: (TEXT, lines(f"a{':1' * 500}|ms", n)),
    "packed texts": lambda n: (TEXT, lines(f"a{':x' * 500}|ms", n)),
    "options": lambda n: (TEXT, lines(f"a:1|ms{'|#' * 500}", n)),
    "one long line": lambda n: (TEXT, b"a:1|ms" * (n // 6)),
    "joined JSON": lambda n: (JSON, b'{"a":1}' * (n // 7)),
    "long lines": lambda n: (TEXT, lines(":" * 1000, n)),
    "empty lines behind": lambda n: (TEXT, b"a,1" + b"\n" * n),
    "ndjson": lambda n: (NDJSON, lines(RFC_3339, n)),
    "ndjson of objects of one name": lambda n: (NDJSON, lines(ONE_NAME, n)),
    "a column in ndjson": lambda n: (NDJSON, column(numbers_of(n))),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_how_long_a_body_holds_others_up_does_not_grow_with_it(
    form: Callable[[int], tuple[str, bytes]],
) -> None:
    """The longest work between two pauses does not grow with the body, but for one look at it.

    Times are CPU seconds of this thread, and are compared with those of the same moment.
    """

    def longest(length: int) -> float:
        kind, body = form(length)
        held = 0.0
        since = time.thread_time()

        def pause_if_due() -> None:
            nonlocal held, since
            held = max(held, time.thread_time() - since)
            since = time.thread_time()

        found = builder(pause_if_due)
        with contextlib.suppress(Problem):  # it has too many messages, or arrays
            read_body(kind, body, found)
        pause_if_due()
        for columns in found.columns(16).values():
            pack(columns)
        pause_if_due()
        return held

    def look(length: int) -> float:
        body = form(length)[1]
        since = time.thread_time()
        body.decode().split(",")
        return time.thread_time() - since

    assert_within(3, lambda: longest(1_200_000) / (longest(150_000) + look(1_200_000)))


@pytest.mark.parametrize("around", [b"%b", b"[%b]"], ids=["alone", "in an array"])
def test_a_client_aggregate_that_is_too_long_is_not_decoded(around: bytes) -> None:
    """It is refused by its length: nothing is made of its buckets, as memory shows."""
    buckets = b",".join(b'"%d":1' % bucket for bucket in range(50_000))
    body = around % (b'{"key":"a","aggregate":{"buckets":{%b}}}' % buckets)

    tracemalloc.start()
    with pytest.raises(Problem):
        read_body(JSON, body, builder())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * len(body)


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


@pytest.mark.parametrize(
    "items",
    [
        [["a", 1.5], {"key": "b", "value": -1}, {"key": "b", "values": [1, 2]}, 7],
        [["NaN", 1.5], ["a", math.nan], ["b", -math.inf], {"key": "b", "value": math.inf}],
        {"key": "Infinity", "values": [math.nan, 1, math.inf, -math.inf, 2]},
        [[r"\"NaN\\", 1], [r"\\", math.nan], ["a", "-Infinity"], ["NaN", 1]],
        [["a", 1]] * 9 + [{"key": "a", "value": 1, "timestamp": math.nan}],
    ],
    ids=["bad messages", "constants", "a column", "texts with constants", "a time"],
)
def test_a_long_body_is_read_as_a_short_one_is(items: object) -> None:
    """A long body, which is read item by item, gives the same result as a short one."""
    short, long = builder(), builder()

    read_body("application/json", json.dumps(items).encode(), short)
    text = json.dumps(items).encode()
    read_body("application/json", text[:1] + b" " * WHOLE_BYTES_MAX + text[1:], long)

    assert long.columns(16) == short.columns(16)
    assert [error.detail for error in long.errors] == [error.detail for error in short.errors]


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
