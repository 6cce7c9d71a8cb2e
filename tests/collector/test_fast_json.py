"""The fast way for plain JSON bodies never gives another result than the plain way."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.collector import fast_json
from api.collector.batch_builder import BatchBuilder
from api.collector.json_items import add_item
from metrics.entry import Column, read_aggregate, read_values
from tests.collector.test_bodies import NOW, builder
from tests.support.aggregates import aggregate_of

VALUES = st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 10**20)
ODD_VALUES = st.sampled_from([-1, -0.5, True, "1", None])
TIMES = st.integers(int(NOW) - 5000, int(NOW) + 200)
ODD_TIMES = st.sampled_from(
    [0, 10**20, int(NOW) + 301, NOW, "2026-11-23T14:00:00Z", None, True, -1]
)
ODD_AGGREGATES = [None, 3, {}, {**aggregate_of([1.0]), "count": 2}, {**aggregate_of([1.0]), "x": 1}]
KEYS = st.sampled_from(["a", "a", "b", "a b"])


def lists_of(
    good: st.SearchStrategy[object], odd: st.SearchStrategy[object], length: int
) -> st.SearchStrategy[list[object]]:
    """Return lists of good items, and some with odd ones among them."""
    bounds = {"min_size": length, "max_size": length}
    return st.lists(good, **bounds) | st.lists(good, **bounds) | st.lists(good | odd, **bounds)


def columns_of(length: int) -> st.SearchStrategy[dict[str, object]]:
    """Return columns with so many values, some without timestamps, some with one too many."""
    times = lists_of(TIMES, ODD_TIMES, length) | lists_of(TIMES, ODD_TIMES, length + 1)
    return st.fixed_dictionaries(
        {"key": KEYS, "values": lists_of(VALUES, ODD_VALUES, length)},
        optional={"timestamps": times},
    )


def meaning(columns: Sequence[Column]) -> object:
    """Return what columns say, however it is written: values and dropped of each key-hour."""
    found: dict[str, tuple[list[str], list[int]]] = {}
    for column in columns:
        texts, dropped = found.setdefault(column.key_hour, ([], []))
        if column.dropped:
            dropped.append(column.dropped)
        elif aggregate := read_aggregate(column.text.encode()):
            assert aggregate.count == column.messages
            texts.append(column.text)
        else:
            values, _ = read_values([column.text.encode()])
            assert len(values) == column.messages
            texts += map(repr, values)
    return {key_hour: (sorted(texts), sum(dropped)) for key_hour, (texts, dropped) in found.items()}


ROWS = st.fixed_dictionaries({"key": KEYS, "value": VALUES | ODD_VALUES})
COLUMNS = st.integers(0, 4).flatmap(columns_of)
REPORTS = st.fixed_dictionaries(
    {"key": KEYS, "dropped": st.integers(1, 99) | st.sampled_from([0, 10**9, 17.0, True, "1"])},
    optional={"timestamp": TIMES | TIMES | ODD_TIMES, "value": VALUES},
)
AGGREGATES = st.fixed_dictionaries(
    {"key": KEYS, "aggregate": st.lists(VALUES, min_size=1, max_size=3).map(aggregate_of)},
    optional={"timestamp": TIMES | TIMES | ODD_TIMES, "value": VALUES},
) | st.fixed_dictionaries({"key": KEYS, "aggregate": st.sampled_from(ODD_AGGREGATES)})
ITEMS = COLUMNS | REPORTS | AGGREGATES | ROWS


@settings(max_examples=400)
@given(st.lists(ROWS, max_size=8) | ITEMS | st.lists(ITEMS, max_size=3))
def test_the_fast_way_takes_what_the_plain_way_takes(content: object) -> None:
    """The fast way reads what the plain way reads, or leaves the builder empty."""
    body = msgspec.json.encode(content)
    fast, plain = builder(), builder()
    is_done = fast_json.read(body, fast)
    for item in content if isinstance(content, list) else [content]:
        add_item(item, plain)

    def told(found: BatchBuilder) -> object:
        counts = (found.accepted, found.reports, found.dropped, found.rejected)
        return counts, meaning(found.columns(1).get(0, []))

    if is_done:
        assert told(fast) == told(plain)
        assert plain.rejected == 0
    else:
        assert told(fast) == ((0, 0, 0, 0), {})


PLAIN = {
    "rows": '[{"key":"a","value":1}]',
    "a message": '{"key":"a","value":1}',
    "a column": '{"key":"a","values":[1]}',
    "a column with timestamps": f'{{"key":"a","values":[1,2],"timestamps":[{NOW:.0f},{NOW:.0f}]}}',
    "columns and loss reports": (
        f'[{{"key":"a","values":[1,2],"timestamps":[{NOW:.0f},{NOW - 3600:.0f}]}},'
        f'{{"key":"a","dropped":17,"timestamp":{NOW:.0f}}},{{"key":"b","dropped":1}}]'
    ),
    "a client aggregate": json.dumps({"key": "a", "aggregate": aggregate_of([1.0, 2.0])}),
    "client aggregates and columns": json.dumps(
        [
            {"key": "a", "aggregate": aggregate_of([1.0, 2.0]), "timestamp": int(NOW)},
            {"key": "a", "values": [1]},
        ]
    ),
}


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_the_fast_way_is_taken_for_plain_bodies(body: str) -> None:
    """The fast way takes plain bodies."""
    assert fast_json.read(body.encode(), builder()) is True


def test_the_text_of_a_column_is_passed_on() -> None:
    """The text of a column is passed on as it was sent."""
    found = builder()

    assert fast_json.read(b'{"key":"a","values":[1,2.50]}', found) is True
    assert [column.text for column in found.columns(1)[0]] == ["1,2.50"]


LEFT = {
    "more dropped than a request may report": (
        '[{"key":"a","dropped":1000000000},{"key":"a","dropped":1}]'
    ),
    "a timestamp outside": f'{{"key":"a","values":[1,2],"timestamps":[{NOW:.0f},1]}}',
    "a timestamp missing": f'{{"key":"a","values":[1,2],"timestamps":[{NOW:.0f}]}}',
    "a loss report beside values": '{"key":"a","values":[1],"dropped":1}',
    "a client aggregate beside a value": json.dumps(
        {"key": "a", "aggregate": aggregate_of([1.0]), "value": 1}
    ),
    "a client aggregate that cannot be": json.dumps({"key": "a", "aggregate": ODD_AGGREGATES[3]}),
    "a value that is negative": '{"key":"a","values":[1,-1]}',
}


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_what_is_not_good_is_left_to_the_plain_way(body: str) -> None:
    """A body with a fault is left to the plain way, which can describe the fault."""
    assert fast_json.read(body.encode(), builder()) is False
