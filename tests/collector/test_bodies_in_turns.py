"""Others go on while a body is read, however long it is."""

import contextlib
import json
import math
import time
import tracemalloc
from collections.abc import Callable

import pytest

from api.collector.batch_builder import WORK_MAX
from api.collector.bodies import read_body
from api.collector.json_pieces import WHOLE_BYTES_MAX
from api.problems import Problem
from metrics.entry import pack
from tests.collector.test_bodies import JSON, NDJSON, NOW, TEXT
from tests.collector.test_hostile_bodies import RFC_3339, array, builder, column, lines, numbers_of
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


ONE_NAME = "{" + '"key":"a",' * 2000 + '"value":1}'


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
