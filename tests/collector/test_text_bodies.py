"""Text of several kinds is taken as people first try it, and its errors say what to do."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.bodies import read_body
from api.collector.bounded import JOINED_BY_CURL
from api.collector.rejection import ERRORS_SHOWN_MAX
from api.problems import Problem
from tests.collector.test_bodies import FORM, JSON, NDJSON, TEXT, builder, columns, read

CSV = "text/csv"

GOOD = {
    "text": (TEXT, "a,123.4\nb, 98.1\n\n", {"a": "123.4", "b": "98.1"}),
    "text in parentheses": (TEXT, "(a,123.4)\n(b, 98.1)", {"a": "123.4", "b": "98.1"}),
    "tuples of Python": (TEXT, "('a', 123.4)", {"a": "123.4"}),
    "CSV": (CSV, "a,1\r\nb, 2\r\n", {"a": "1.0", "b": "2.0"}),
    "CSV with quotes": (CSV, '"a","1"\n"b", 2', {"a": "1.0", "b": "2.0"}),
    "CSV with a header": (CSV, "key,value\na,1", {"a": "1.0"}),
    "CSV of a spreadsheet": (CSV, '\ufeff"Key","Value"\r\na,1', {"a": "1.0"}),
    "two files with headers": (TEXT, "key, value\na,1\nkey,value\na,2", {"a": "1.0,2.0"}),
    "a key that is called key": (TEXT, "key,1", {"key": "1.0"}),
    "StatsD": (TEXT, "a:123.4|ms\na:5|ms|@0.1", {"a": "123.4,5.0*10"}),
    "a StatsD key with colons": (TEXT, "a:b:1|ms", {"a:b": "1.0"}),
    "types of DogStatsD": (TEXT, "a:1|ms\na:2|h\na:3|d", {"a": "1.0,2.0,3.0"}),
    "packed values": (
        TEXT,
        "a:1:2:3|d\nb:c:4:5|ms|@0.5",
        {"a": "1.0,2.0,3.0", "b:c": "4.0*2,5.0*2"},
    ),
    "tags and origins": (
        TEXT,
        "a:1|ms|#env:prod,x\na:2|h|@0.1|#x|c:ci-1\na:3|d|T1656581400|e:it|card:low",
        {"a": "1.0,2.0*10,3.0"},
    ),
}


@pytest.mark.parametrize(("content_type", "body", "expected"), GOOD.values(), ids=GOOD)
def test_every_way_to_write_a_line_is_taken(
    content_type: str, body: str, expected: dict[str, str]
) -> None:
    """Lines of CSV, tuples and StatsD are taken with all their values, under their keys."""
    found = read(content_type, body)

    assert columns(found) == expected
    assert found.accepted == sum(text.count(",") + 1 for text in expected.values())
    assert (found.rejected, found.ignored) == (0, 0)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("a", "a line must be key,value or key:value|ms"),
        ("a,", "value must be a number, got ''"),
        ("a,nan", "value must be finite, got 'nan'"),
        ("a b,1", "key must be"),
        ("a:1|x", "the type of a StatsD line must be ms, h or d (c, g and s are ignored), got 'x'"),
        ("a|ms", "a StatsD line must be key:value|ms"),
        ("a:1|ms|@2", "sample rate must be"),
        ("a:-1|ms", "value must be 0 or more"),
        ("a:1|ms|@0.0000001", "sample rate must be"),
        ("a:1|ms|@0.1|@0.1", "behind its type a StatsD line may have |@rate, once, and |#tags"),
        ("a:1|ms|", "behind its type a StatsD line may have"),
        ("a:x|ms", "value must be a number, got 'x'"),
        ('a,"1,5"', "value must be a number, got '1,5'"),
        ("1,a", "value must be a number, got 'a'"),
        ("(a,1", "key must be"),
        ("key,1e", "value must be a number"),
    ],
)
def test_a_bad_line_is_named(line: str, detail: str) -> None:
    """A bad line is named by its index, and the lines around it are taken."""
    found = read(TEXT, f"good,1\n{line}\ngood,2")

    assert columns(found) == {"good": "1.0,2.0"}
    assert [(error.index, error.detail[: len(detail)]) for error in found.errors] == [(1, detail)]


def test_a_bad_value_among_packed_ones_leaves_the_others() -> None:
    """A bad value of a StatsD line is named by its index, and the others are taken."""
    found = read(TEXT, "a:1:-2:nan::3|ms\na,x")

    assert columns(found) == {"a": "1.0,3.0"}
    assert [error.index for error in found.errors] == [1, 2, 3, 5]
    assert "finite" in found.errors[1].detail


@pytest.mark.parametrize(
    "line", ["a:1|c", "a:-1|g", "a:+5.5|g|#x", "a:any user|s", "a b:1|c|@0.5|#x", "a:1|c|@1e-9"]
)
def test_what_is_no_timing_is_ignored(line: str) -> None:
    """Counters, gauges and sets of StatsD are ignored: no messages, no errors, with an index."""
    found = read(TEXT, f"{line}\na:7|ms\na,x")

    assert columns(found) == {"a": "7.0"}
    assert (found.accepted, found.rejected, found.ignored) == (1, 1, 1)
    assert found.errors[0].index == 2


def test_the_rarest_sample_stands_for_a_million_and_is_one_value() -> None:
    """A sampled value is written once, however many messages it stands for."""
    assert columns(read(TEXT, "a:5|ms|@0.000001")) == {"a": "5.0*1000000"}


JOINED = {
    "lines": (FORM, "a,1b,2c,3"),
    "CSV with a header": (CSV, "key,valuea,1b,2"),
    "tuples": (FORM, "(a,1)(b,2)"),
    "timings": (TEXT, "a:1|msb:2|ms"),
    "sampled timings": (FORM, "a:1|ms|@0.1b:2|ms|@0.1"),
    "timings with tags": (TEXT, "a:1|ms|#xb:2|ms|#x"),
    "counters before a timing": (TEXT, "a:1|c|#xb:2|ms"),
    "a long file": (FORM, "checkout.web-1,1" * 1000),
    "objects": (FORM, '{"key":"a","value":1}{"key":"b","value":2}'),
    "pairs": (JSON, '["a",1]["b",2]'),
    "objects of NDJSON": (NDJSON, '{"key":"a","value":1}{"key":"b","value":2}'),
    "a long file of objects": (FORM, '{"key":"a","value":1}' * 20_000),
}


@pytest.mark.parametrize(("content_type", "body"), JOINED.values(), ids=JOINED)
def test_lines_that_curl_has_joined_are_told_how_to_stay_apart(
    content_type: str, body: str
) -> None:
    """Lines without newlines, as ``curl -d @file`` sends them, add nothing; the error says why."""
    found = builder()
    try:
        read_body(content_type, body.encode(), found)
        detail = found.errors[0].detail
    except Problem as problem:
        detail = str(problem.description)

    assert found.accepted == 0
    assert detail.endswith(JOINED_BY_CURL)
    assert "--data-binary @file" in detail


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TEXT, "a:x|ms|#x,y,z|c:ci-1"),
        (TEXT, "a,x"),
        (TEXT, "a,1b,2\na,3"),
        (JSON, '{"key":'),
    ],
)
def test_what_is_wrong_otherwise_is_not_put_down_to_curl(content_type: str, body: str) -> None:
    """An error of a line that was not joined says nothing of joined lines."""
    found = builder()
    try:
        read_body(content_type, body.encode(), found)
        detail = found.errors[0].detail
    except Problem as problem:
        detail = str(problem.description)

    assert JOINED_BY_CURL not in detail


def test_a_sampled_message_among_others_keeps_their_weights() -> None:
    """A sampled message does not change the weights of the messages before and after it."""
    assert columns(read(TEXT, "a,1\na:2|ms|@0.5\na,3")) == {"a": "1.0,2.0*2,3.0"}


KEYS = st.sampled_from(["a", "a", "b", "a:b", "key", "a b", ""])
VALUES = st.floats(0, 1e300) | st.integers(0, 10**20) | st.sampled_from([-1, -0.5])
ENDS = st.sampled_from(["\n", "\r\n", "\n\n", " \n"])
LINES = st.sampled_from(["{0},{1}", " {0}, {1}", "({0},{1})", "( '{0}' , {1} )", '"{0}","{1}"'])


@given(st.lists(st.tuples(KEYS, VALUES, LINES, ENDS), max_size=8), st.sampled_from([TEXT, FORM]))
def test_lines_mean_what_pairs_of_json_mean(
    rows: list[tuple[str, float, str, str]], content_type: str
) -> None:
    """However a line is written, its message is that of the same pair in JSON, good or bad."""
    pairs = read(NDJSON, "\n".join(json.dumps([key, value]) for key, value, _, _ in rows))

    text = "".join(line.format(key, value) + end for key, value, line, end in rows)
    lines = read(content_type, text)

    assert columns(lines) == columns(pairs)
    assert [error.index for error in lines.errors] == [error.index for error in pairs.errors]


@given(
    st.lists(st.tuples(KEYS, VALUES), max_size=8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_library_writes_as_csv_is_read(rows: list[tuple[str, float]], quoting: int) -> None:
    """CSV as Python's library writes it, with a header, has the messages of its rows."""
    written = io.StringIO()
    csv.writer(written, quoting=quoting).writerows([("key", "value"), *rows])

    lines = read(CSV, written.getvalue())

    assert columns(lines) == columns(read(NDJSON, "\n".join(json.dumps(row) for row in rows)))


@given(st.text("a1,:|ms()'\"\n=&.@{}[] c", max_size=60), st.sampled_from([TEXT, CSV, FORM, None]))
def test_whatever_is_sent_as_text_is_counted_or_refused(
    body: str, content_type: str | None
) -> None:
    """Any text is refused as a whole, or each of its messages is good, bad or ignored."""
    found = builder()
    try:
        read_body(content_type, body.encode(), found)
    except Problem as problem:
        assert problem.status.startswith("400")  # noqa: PT017  (or it is read)
        return

    assert found.accepted == sum(text.count(",") + 1 for text in columns(found).values())
    assert len(found.errors) == min(found.rejected, ERRORS_SHOWN_MAX)
