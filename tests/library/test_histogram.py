"""The histogram can be merged, and is within 1 % whatever the data."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metrics.accuracy import RELATIVE_ERROR
from metrics.buckets import ZERO_BUCKET, bucket_of, edges_of, value_of
from metrics.histogram import Histogram, buckets_of
from metrics.histogram import edges_of as edges_of_all

SMALLEST = math.ulp(0.0)
LARGEST = np.finfo(np.float64).max
ANY_VALUE = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
SUBNORMAL = st.integers(min_value=0, max_value=2**52).map(lambda k: k * SMALLEST)
TINY = st.integers(min_value=0, max_value=30_000).map(lambda k: k * SMALLEST)
NEAR_A_BOUND = st.integers(-37_000, 35_000).map(lambda i: math.exp(i * math.log(1.02)))
VALUES = st.lists(ANY_VALUE | SUBNORMAL | TINY | NEAR_A_BOUND, min_size=1, max_size=50)


def histogram_of(values: list[float]) -> Histogram:
    """Return the histogram of a list."""
    return Histogram.of(np.asarray(values))


def is_within_bound(estimate: float, true: float) -> bool:
    """Return whether an estimate is within the promised error, to the last bit."""
    return abs(estimate - true) <= RELATIVE_ERROR * true


@given(ANY_VALUE | SUBNORMAL | TINY | NEAR_A_BOUND)
@example(0.0)
@example(SMALLEST)
@example(SMALLEST * 8191)
@example(SMALLEST * 8192)
@example(float(np.finfo(np.float64).tiny))
@example(float(LARGEST))
def test_the_number_of_a_bucket_is_within_the_bound_of_each_value_in_it(value: float) -> None:
    """A bucket's number is within 1 % of each value in it, for every double from zero."""
    (bucket,) = buckets_of(np.asarray([value])).tolist()

    assert is_within_bound(value_of(bucket), value) or value_of(bucket) == math.inf
    assert is_within_bound(min(value_of(bucket), float(LARGEST)), value)


@given(ANY_VALUE | SUBNORMAL | TINY | NEAR_A_BOUND)
@example(0.0)
@example(SMALLEST * 8191)
@example(SMALLEST * 8192)
@example(float(LARGEST))
def test_one_value_has_the_bucket_that_it_has_among_many(value: float) -> None:
    """A client's bucket of a value is the server's; at its very edge, perhaps the next one."""
    (bucket,) = buckets_of(np.asarray([value])).tolist()
    lower, upper = (ends.item() for ends in edges_of_all(np.asarray([bucket])))

    assert edges_of(bucket) == pytest.approx((lower, upper), rel=1e-9)
    if not any(math.isclose(value, end, rel_tol=1e-12) for end in (lower, upper)):
        assert bucket_of(value) == bucket
    assert abs(bucket_of(value) - bucket) <= 1


@given(VALUES)
def test_every_rank_is_within_the_bound(values: list[float]) -> None:
    """The value at every rank is within 1 % of the true one, whatever the data."""
    histogram = histogram_of(values)

    for rank, true in enumerate(sorted(values)):
        assert is_within_bound(min(histogram.value_at(rank), float(LARGEST)), true)


@given(VALUES, VALUES)
def test_merging_is_commutative_and_gives_the_histogram_of_all(
    some: list[float], others: list[float]
) -> None:
    """Merging two histograms in either order gives the histogram of all values."""
    one, other = histogram_of(some), histogram_of(others)

    assert one.merged_with(other) == other.merged_with(one) == histogram_of(some + others)


@given(VALUES, VALUES, VALUES)
def test_merging_is_associative(a: list[float], b: list[float], c: list[float]) -> None:
    """Merging three histograms gives the same result in any grouping."""
    x, y, z = histogram_of(a), histogram_of(b), histogram_of(c)

    assert x.merged_with(y).merged_with(z) == x.merged_with(y.merged_with(z))


@given(st.lists(st.tuples(ANY_VALUE, st.integers(1, 5)), min_size=1, max_size=20))
def test_a_weight_counts_a_value_several_times(weighted: list[tuple[float, int]]) -> None:
    """A value with a weight counts as if it had been sent that many times."""
    values, weights = zip(*weighted, strict=True)
    repeated = [value for value, weight in weighted for _ in range(weight)]

    assert Histogram.of(np.asarray(values), np.asarray(weights)) == histogram_of(repeated)


@given(st.lists(ANY_VALUE, min_size=2, max_size=50))
def test_buckets_are_in_the_order_of_their_values(values: list[float]) -> None:
    """Buckets have the order of their values."""
    buckets = buckets_of(np.sort(np.asarray(values)))

    assert (np.diff(buckets) >= 0).all()
    assert [bucket for bucket, _ in histogram_of(values)] == sorted(set(buckets.tolist()))


@given(st.lists(st.floats(1, 1000), min_size=1) | st.lists(ANY_VALUE, min_size=1))
def test_each_value_is_counted_in_its_bucket(values: list[float]) -> None:
    """Each value is counted once in its bucket, whether buckets are dense or sparse."""
    assert dict(histogram_of(values)) == Counter(buckets_of(np.asarray(values)).tolist())


def test_zero_has_a_bucket_of_its_own() -> None:
    """Zero has a bucket of its own and is read back exactly."""
    histogram = histogram_of([0.0, 0.0, 1.0])

    assert dict(histogram)[ZERO_BUCKET] == 2
    assert histogram.value_at(1) == 0.0


def test_a_bucket_may_be_computed_by_hand() -> None:
    """Bucket i ends at 1.02**i, so that its number can be computed by hand."""
    assert buckets_of(np.asarray([1.0, 1.02, 1.03, 123.4])).tolist() == [0, 1, 2, 244]
    assert value_of(244) == pytest.approx(1.02**244 * 2 / 2.02)


def test_values_from_a_millisecond_to_19_seconds_need_at_most_500_buckets() -> None:
    """Values from a millisecond to 19.5 seconds need at most 500 buckets."""
    values = np.exp(np.linspace(math.log(1.0), math.log(19_500.0), 1_000_000))

    assert len(Histogram.of(values)) <= 500


def test_a_lognormal_hour_needs_few_buckets() -> None:
    """A million lognormal response times need at most 500 buckets."""
    values = np.random.default_rng(1).lognormal(4, 1, 1_000_000)

    assert len(Histogram.of(values)) <= 500


def test_a_microsecond_to_a_day_is_kept_within_the_bound_too() -> None:
    """Values from a microsecond to a day are all kept within 1 %, in at most 1,273 buckets."""
    values = np.exp(np.linspace(math.log(1e-3), math.log(86_400_000.0), 100_000))
    histogram = Histogram.of(values)

    assert len(histogram) <= 1_273
    for rank in random.Random(1).sample(range(values.size), 1000):
        assert is_within_bound(histogram.value_at(rank), float(values[rank]))


def test_a_rank_that_is_not_there_is_an_error() -> None:
    """A rank beyond the number of values raises IndexError."""
    with pytest.raises(IndexError, match="rank 2 of a histogram of 2 values"):
        histogram_of([1.0, 2.0]).value_at(2)


@given(VALUES, ANY_VALUE | NEAR_A_BOUND)
def test_a_limit_counts_the_buckets_whose_number_is_at_most_it(
    values: list[float], limit: float
) -> None:
    """The count up to a limit is that of all buckets whose number is at most the limit."""
    histogram = histogram_of(values)
    at_most = sum(count for bucket, count in histogram if value_of(bucket) <= limit)

    assert histogram.count_at_most(limit) == at_most
