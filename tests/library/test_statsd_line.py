"""Lines of StatsD, as every client library writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.errors import InvalidMessageError
from metrics.statsd_line import Timing, parse

OPTIONS = st.sampled_from(["@0.5", "#env:prod,x", "c:ci-1", "T1656581400", "e:it-1", "card:low"])
NAMES = st.sampled_from(["a", "checkout.web-1", "a:b", "web-1:main:x"])
VALUES = st.lists(st.floats(0, 1e9) | st.integers(0, 10**9), min_size=1, max_size=4)


@given(NAMES, VALUES, st.sampled_from(["ms", "h", "d"]), st.lists(OPTIONS, unique=True))
def test_what_is_written_is_read(
    name: str, values: list[float], kind: str, options: list[str]
) -> None:
    """A timing has its key, its values and its weight, whatever else stands behind its type."""
    texts = [str(value) for value in values]

    read = parse("|".join([":".join([name, *texts]), kind, *options]))

    assert read == Timing(name, texts, 2 if "@0.5" in options else 1)


@given(st.text("a1:|@#.ms-hdcgT ", max_size=40))
def test_whatever_is_written_is_read_or_refused(line: str) -> None:
    """Any text is a timing with at least one value, or ignored, or refused; never a fault."""
    try:
        read = parse(line)
    except InvalidMessageError:
        return

    if read is not None:
        assert read.values
        assert ":".join([read.key, *read.values]) == line.partition("|")[0]


@pytest.mark.parametrize(
    ("name", "key", "values"),
    [
        ("a:1", "a", ["1"]),
        ("a:b:1", "a:b", ["1"]),
        ("a:b:1:c:2", "a:b", ["1", "c", "2"]),
        ("a::1", "a", ["", "1"]),
        ("a:-nan:1", "a", ["-nan", "1"]),
        ("a:b:c", "a:b", ["c"]),
        ("a:", "a", [""]),
        ("host:8080:5", "host", ["8080", "5"]),
    ],
)
def test_values_begin_at_the_first_number(name: str, key: str, values: list[str]) -> None:
    """The key ends where the first number begins; where there is none, before the last field."""
    assert parse(f"{name}|ms") == Timing(key, values, 1)


@pytest.mark.parametrize("line", ["a:1|c", "a:-1|g|#x", "a:u|s", "_e{1,2}:a|bc|t:error", "_sc|a|0"])
def test_what_is_no_timing_is_none(line: str) -> None:
    """Counters, gauges, sets, events and service checks are no messages, and no errors."""
    assert parse(line) is None
