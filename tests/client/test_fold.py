"""A client folds values into aggregates that a collector takes."""

import json
import math
import sys
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from metrics.buckets import bucket_of
from metrics.client.fold import Fold, count_buckets
from metrics.client_aggregate import AGGREGATE_BUCKETS_MAX, AGGREGATE_COUNT_MAX, ClientAggregate

LARGEST = sys.float_info.max
VALUES = st.lists(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False), min_size=1, max_size=60
)


@given(st.lists(VALUES, min_size=1, max_size=4))
@example([[LARGEST, LARGEST], [LARGEST, 0.0]])
@example([[0.0, -0.0, math.ulp(0.0), 1.02**7]])
def test_what_a_client_folds_is_an_aggregate_of_its_values(chunks: list[list[float]]) -> None:
    """What is folded, in any pieces, is sound, and has count, sum, min, max and buckets exactly."""
    fold = Fold()
    for values in chunks:
        fold.add(values)
    values = [value for chunk in chunks for value in chunk]
    item = json.loads(fold.written("checkout.web-1", 498733))

    found = ClientAggregate.parse(item["aggregate"])

    assert (item["key"], item["timestamp"]) == ("checkout.web-1", 498733 * 3600)
    assert (found.count, found.min, found.max) == (len(values), min(values), max(values))
    total = sum(map(Fraction, values))
    assert math.isclose(found.sum, float(min(total, LARGEST)), rel_tol=1e-12)
    assert found.buckets == count_buckets(values)


@given(VALUES)
def test_values_are_counted_in_their_buckets(values: list[float]) -> None:
    """Many values are put into the same buckets as one by one."""
    assert sorted(count_buckets(values).elements()) == sorted(map(bucket_of, values))


def test_a_fold_has_room_for_so_many_buckets_and_messages() -> None:
    """A fold says when it would be more than an aggregate may be."""
    fold = Fold()
    for i in range(AGGREGATE_BUCKETS_MAX):
        fold.add([1.02**i * 1.001])
    known, new = count_buckets([1.001]), count_buckets([1e-3])

    assert (fold.has_room_for(1, known), fold.has_room_for(1, new)) == (True, False)
    fold.count = AGGREGATE_COUNT_MAX
    assert not fold.has_room_for(1, known)
