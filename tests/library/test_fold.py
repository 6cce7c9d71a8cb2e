"""Entries fold into the same aggregates, whatever lies together in them."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import short_columns
from metrics.aggregate import Aggregate
from metrics.entry import PendingEntry, write_values
from metrics.errors import EntryUnreadableError
from metrics.fold import Folded, fold

ID = b"1763906400000-0"  # 2025-11-23T14:00:00Z
HOURS = (b"2025-11-23T14", b"2025-11-23T10")
LARGEST = b"1.7976931348623157e308"

some_values = st.floats(0, 1e300)

texts = st.one_of(
    st.lists(some_values, min_size=1, max_size=60).map(write_values),
    st.just("12*3,4"),
    st.just("dropped=3"),
    st.just("count=3 sum=232.5 min=7.0 max=123.4 99=1 234=1 244=1"),
)
columns = st.tuples(st.sampled_from(HOURS), st.integers(0, 3), texts).map(
    lambda each: (b"%b:a-%d" % (each[0], each[1]), each[2].encode())
)


def folded(*fields: tuple[bytes, bytes]) -> Folded:
    """Return what one entry folds into."""
    return fold([PendingEntry(ID, [text for each in fields for text in each])], lateness_s=10)


def assert_same(found: Aggregate, expected: Aggregate) -> None:
    """Check that two aggregates are of the same messages."""
    assert found.sum == pytest.approx(expected.sum)
    for name in ("count", "min", "max", "dropped", "late", "histogram"):
        assert getattr(found, name) == getattr(expected, name), name


@given(st.lists(columns, min_size=1, max_size=20))
def test_columns_together_are_what_each_is_alone(
    fields: list[tuple[bytes, bytes]],
) -> None:
    """What lies together in an entry folds into what its columns are one by one, merged."""
    expected: dict[bytes, Aggregate] = {}
    messages = 0
    for key_hour, text in fields:
        alone = folded((key_hour, text))
        messages += alone.messages
        (aggregate,) = alone.aggregates.values()
        before = expected.get(key_hour)
        expected[key_hour] = before.merged_with(aggregate) if before else aggregate

    together = folded(*fields)

    assert together.messages == messages
    assert together.aggregates.keys() == expected.keys()
    for key_hour, aggregate in expected.items():
        assert_same(together.aggregates[key_hour], aggregate)


@given(st.lists(st.lists(some_values, min_size=1, max_size=30), min_size=1, max_size=8))
def test_short_columns_are_what_their_values_are(columns: list[list[float]]) -> None:
    """Columns that are folded at once are what each set of values is by itself."""
    found = short_columns.fold_short([write_values(each).encode() for each in columns])

    for aggregate, each in zip(found, columns, strict=True):
        assert_same(aggregate, Aggregate.of(each))


@pytest.mark.parametrize("text", [b"1,", b"1,x", b"1 2", b"1],[2", b"1,-2", b"1,null", b"01"])
def test_a_short_column_that_is_no_values_spoils_its_entries(text: bytes) -> None:
    """Columns beside one that cannot be read are not folded: their entry is unreadable."""
    with pytest.raises(EntryUnreadableError):
        folded((b"2025-11-23T14:a", b"1"), (b"2025-11-23T14:b", text), (b"2025-11-23T14:c", b"2"))


def test_a_sum_beyond_the_largest_double_stays_there() -> None:
    """The sum of a short column is at most the largest double."""
    found = folded((b"2025-11-23T14:a", b"%b,%b" % (LARGEST, LARGEST)))

    assert found.aggregates[b"2025-11-23T14:a"].sum == float(LARGEST) < inf


def test_new_keys_take_a_few_calls_of_numpy_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand key-hours of one value each are folded by as few calls as one is."""
    calls = 0

    def count(values: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        return np.zeros(values.size, np.int64)

    monkeypatch.setattr(short_columns, "buckets_of", count)
    monkeypatch.setattr("metrics.histogram.buckets_of", count)

    found = folded(*((b"2025-11-23T14:a-%d" % i, b"12.5") for i in range(1_000)))

    assert (len(found.aggregates), calls) == (1_000, 1)
