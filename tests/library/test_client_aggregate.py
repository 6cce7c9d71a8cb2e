"""A client aggregate is taken if there can be such values; else the text says what is wrong."""

import json
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.aggregate import BUCKET_PREFIX, Aggregate
from metrics.client_aggregate import (
    AGGREGATE_BUCKETS_MAX,
    AGGREGATE_COUNT_MAX,
    ClientAggregate,
)
from metrics.entry import (
    TEXT_LENGTH_MAX,
    Column,
    PendingEntry,
    messages_in,
    pack,
    read_aggregate,
)
from metrics.errors import EntryUnreadableError, InvalidMessageError
from metrics.fold import Folded, fold
from metrics.histogram import buckets_at
from metrics.merged import merged
from tests.support.aggregates import aggregate_of

ANY_VALUE = st.floats(min_value=0, max_value=1e300)
LARGEST = sys.float_info.max
KEY_HOUR = "2026-11-23T14:checkout.web-1"
OF_THREE = {
    "count": 3,
    "sum": 232.5,
    "min": 7.0,
    "max": 123.4,
    "buckets": {"99": 1, "234": 1, "244": 1},
}
TEXT = "count=3 sum=232.5 min=7.0 max=123.4 99=1 234=1 244=1"


def fold_texts(*texts: str, appended_ms: int = 0, lateness_s: float = 0) -> Folded:
    """Fold the texts of columns, each in an entry of its own."""
    fields = [[KEY_HOUR.encode(), text.encode()] for text in texts]
    entries = [PendingEntry(b"%d-0" % appended_ms, each) for each in fields]
    return fold(entries, lateness_s=lateness_s)


def test_a_client_aggregate_is_legible() -> None:
    """In an entry, a client aggregate is its four numbers and its buckets, as text."""
    column = Column.of_aggregate(KEY_HOUR, ClientAggregate.parse(OF_THREE))

    assert (column.text, column.messages) == (TEXT, 3)
    assert read_aggregate(TEXT.encode()) == ClientAggregate.parse(OF_THREE)
    assert (read_aggregate(b"1.0,2.0"), read_aggregate(b"dropped=17")) == (None, None)


@given(st.lists(ANY_VALUE, min_size=1, max_size=50))
def test_what_is_folded_from_any_values_is_taken_and_read_as_written(values: list[float]) -> None:
    """An aggregate of any values is taken, and is read from an entry as it was written to it."""
    aggregate = ClientAggregate.parse(json.loads(json.dumps(aggregate_of(values))))

    assert read_aggregate(aggregate.text.encode()) == aggregate


@given(st.lists(st.lists(ANY_VALUE, min_size=1, max_size=20), min_size=1, max_size=4))
def test_aggregates_fold_as_their_messages_do(parts: list[list[float]]) -> None:
    """Client aggregates fold into what their messages fold into, and count as many messages."""
    texts = [ClientAggregate.parse(aggregate_of(values)).text for values in parts]
    everything = [value for values in parts for value in values]
    folded = fold_texts(*texts)
    found, expected = folded.aggregates[KEY_HOUR.encode()], Aggregate.of(everything)

    assert folded.messages == len(everything) == found.count
    assert (found.min, found.max) == (expected.min, expected.max)
    assert found.sum == pytest.approx(expected.sum)
    assert found.histogram.count == expected.count
    assert found.quantile(0.5) == pytest.approx(expected.quantile(0.5), rel=0.021)


@given(
    st.lists(
        st.tuples(ANY_VALUE, st.integers(1, 10**6), st.floats(-1.5e-7, 1.5e-7)),
        min_size=1,
        max_size=8,
    )
)
def test_aggregates_that_are_sound_add_up_to_a_hash_that_is(
    parts: list[tuple[float, int, float]],
) -> None:
    """Whatever aggregates are taken, the hash of their key-hour is sound."""
    texts = []
    for value, count, off in parts:
        content = aggregate_of([value])
        (bucket,) = content["buckets"]  # type: ignore[misc]
        content |= {"count": count, "sum": value * count * (1 + off), "buckets": {bucket: count}}
        try:
            texts.append(ClientAggregate.parse(content).text)
        except InvalidMessageError:
            assert abs(off) > 0.9e-7
    if texts:
        found = fold_texts(*texts).aggregates[KEY_HOUR.encode()]
        fields = {"count": found.count, "sum": found.sum, "min": found.min, "max": found.max}
        fields |= {f"{BUCKET_PREFIX}{bucket}": count for bucket, count in found.histogram}
        hash_ = [str(text).encode() for pair in fields.items() for text in pair]

        assert merged([hash_]).count == found.count


def test_late_aggregates_count_as_late() -> None:
    """What is appended after its hour and the lateness is late, as often as it stands for."""
    after = 1795447800_000  # 15:30 UTC, in ms
    on_time = fold_texts(TEXT, "5.0", appended_ms=after - 3600_000)
    late = fold_texts(TEXT, "5.0*2", appended_ms=after)

    assert [folded.aggregates[KEY_HOUR.encode()].late for folded in (on_time, late)] == [0, 5]


def test_aggregates_stay_as_they_are_beside_values_and_loss_reports() -> None:
    """Packed, columns of values are joined, loss reports too, and aggregates are not."""
    aggregate = Column.of_aggregate(KEY_HOUR, ClientAggregate.parse(OF_THREE))
    values, report = Column(KEY_HOUR, "1.0", 1), Column.of_dropped(KEY_HOUR, 17)

    (entry,) = pack([aggregate, values, report, aggregate, values, report])

    texts = ["1.0,1.0", TEXT, TEXT, "dropped=34"]
    assert [column.text for column in entry.columns] == texts
    assert entry.messages == 8
    fields = [each.encode() for text in texts for each in (KEY_HOUR, text)]
    assert messages_in(fields) == 8
    assert fold([PendingEntry(b"0-0", fields)], lateness_s=0).messages == 8


def test_the_largest_aggregate_is_no_longer_than_an_entry() -> None:
    """As many buckets as there may be, with the largest counts, fit into an entry."""
    ranks = range(8192, 8192 + AGGREGATE_BUCKETS_MAX)
    buckets = buckets_at(np.array(ranks)).tolist()
    longest = ClientAggregate(
        AGGREGATE_COUNT_MAX,
        *(1.2345678901234567e-300,) * 3,
        dict.fromkeys(buckets, AGGREGATE_COUNT_MAX),
    )

    assert len(longest.text) <= TEXT_LENGTH_MAX


def changed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an aggregate that is sound, but for some fields."""
    return {**OF_THREE, **fields}


TOO_MANY = {str(bucket): 1 for bucket in range(AGGREGATE_BUCKETS_MAX + 1)}
UNSOUND = {
    "no object": ([3], "aggregate must be an object of count, sum, min, max and buckets"),
    "null": (None, "aggregate must be an object of"),
    "without sum": (
        {**{k: v for k, v in OF_THREE.items() if k != "sum"}},
        "aggregate must have sum",
    ),
    "unknown field": (changed(avg=1), "aggregate has an unknown field, got 'avg'"),
    "count 0": (changed(count=0), "aggregate count must be an integer from 1 to 1000000000, got 0"),
    "count boolean": (changed(count=True), "aggregate count must be an integer"),
    "count float": (changed(count=3.0), "aggregate count must be an integer"),
    "count too large": (changed(count=10**9 + 1), "aggregate count must be an integer from 1 to"),
    "count of others": (changed(count=4), "aggregate count must be what the buckets add up to"),
    "sum text": (changed(sum="1"), "aggregate sum must be a finite number, 0 or more, got '1'"),
    "sum NaN": (changed(sum=math.nan), "aggregate sum must be a finite number"),
    "sum infinite": (changed(sum=math.inf), "aggregate sum must be a finite number"),
    "sum beyond doubles": (changed(sum=10**400), "aggregate sum must be a finite number"),
    "sum too small": (changed(sum=200.0), "aggregate sum cannot be that of such values: it lies"),
    "sum too large": (changed(sum=240.0), "aggregate sum cannot be that of such values: it lies"),
    "min negative": (changed(min=-1), "aggregate min must be a finite number, 0 or more, got -1"),
    "min boolean": (changed(min=False), "aggregate min must be a finite number"),
    "min above max": (changed(min=124.0), "aggregate min must be at most max"),
    "min elsewhere": (changed(min=6.0), "aggregate min is not in the lowest of the buckets, got 6"),
    "max elsewhere": (changed(max=130.0), "aggregate max is not in the highest of the buckets"),
    "buckets array": (changed(buckets=[99]), "aggregate buckets must be an object of 1 to 1500"),
    "no buckets": (changed(buckets={}), "aggregate buckets must be an object of 1 to 1500"),
    "many buckets": (changed(buckets=TOO_MANY), "aggregate buckets must be an object of 1 to 1500"),
    "bucket text": (changed(buckets={"b:99": 3}), "aggregate buckets must be named by the i of"),
    "bucket padded": (changed(buckets={"099": 3}), "aggregate buckets must be named by the i of"),
    "bucket -0": (changed(buckets={"-0": 3}), "aggregate buckets must be named by the i of"),
    "bucket that is none": (changed(buckets={"99999": 3}), "aggregate buckets must be named by"),
    "bucket of none": (changed(buckets={"99": 0}), "aggregate buckets must be an integer from 1"),
    "bucket of half": (changed(buckets={"99": 0.5}), "aggregate buckets must be an integer from 1"),
}


@pytest.mark.parametrize(("content", "detail"), UNSOUND.values(), ids=UNSOUND)
def test_what_does_not_agree_is_told(content: object, detail: str) -> None:
    """What is no aggregate, or says what cannot be, is refused with what is wrong."""
    with pytest.raises(InvalidMessageError) as caught:
        ClientAggregate.parse(content)

    assert str(caught.value).startswith(detail)


@pytest.mark.parametrize(
    "text",
    [
        "count=3",
        "count=3 sum=232.5 min=7.0 max=123.4",
        "count=4 sum=232.5 min=7.0 max=123.4 99=1 234=1 244=1",
        "count=3 sum=nan min=7.0 max=123.4 99=1 234=1 244=1",
        "count=3 sum=232.5 min=7.0 max=123.4 99=1,234=1,244=1",
        "count=00 sum=0 min=0 max=0 -50000=0",
    ],
)
def test_a_text_that_no_collector_has_written_is_unreadable(text: str) -> None:
    """What begins as an aggregate and is none cannot be read: it goes to the dead letters."""
    with pytest.raises(EntryUnreadableError):
        fold_texts(text)


@pytest.mark.parametrize("value", [0.0, math.ulp(0.0), 1.0, 1.02, LARGEST])
def test_extreme_values_may_be_in_an_aggregate(value: float) -> None:
    """Zeros, the smallest and the largest double may be in an aggregate."""
    (bucket,) = aggregate_of([value])["buckets"]  # type: ignore[misc]
    whole = {"count": 2, "sum": min(2 * value, LARGEST), "min": value, "max": value}

    assert ClientAggregate.parse({**whole, "buckets": {bucket: 2}}).count == 2
