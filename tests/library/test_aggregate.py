"""The aggregate of a key-hour gives its statistics."""

import math
import random
import statistics
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.aggregate import EMPTY, Aggregate
from metrics.errors import InvalidQueryError, NoDataError
from metrics.statistic import parse_statistic

ANY_VALUE = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
VALUES = st.lists(ANY_VALUE, min_size=1, max_size=60)

DISTRIBUTIONS = {
    "lognormal": lambda r: r.lognormvariate(4, 1),
    "uniform": lambda r: r.uniform(0, 1000),
    "exponential": lambda r: r.expovariate(0.01),
    "pareto": lambda r: r.paretovariate(1),
    "two peaks far apart": lambda r: r.choice([1e-3, 8.64e7]),
    "constant": lambda r: 42.0,
    "a power each": lambda r: 10.0 ** r.randint(-300, 300),
}


@given(VALUES, st.floats(min_value=0, max_value=1))
def test_every_quantile_is_within_one_percent(values: list[float], q: float) -> None:
    """Every quantile is within 1 % of the exact one, interpolated between ranks."""
    estimate = Aggregate.of(values).quantile(q)
    # In long double: the true one may lie between two of the largest or of the smallest doubles.
    true = np.quantile(np.asarray(values, dtype=np.longdouble), q)

    assert abs(estimate - true) <= 0.01 * true * (1 + 1e-12) + math.ulp(0.0)


@pytest.mark.parametrize("draw", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
@pytest.mark.parametrize("size", [1, 2, 10, 1001])
def test_all_statistics_are_right_on_every_distribution(draw: object, size: int) -> None:
    """Count, min and max are exact, and quantiles are within 1 %, on every distribution."""
    seeded = random.Random(size)
    values = [draw(seeded) for _ in range(size)]
    aggregate = Aggregate.of(values)

    assert aggregate.count == size
    assert aggregate.min == min(values)
    assert aggregate.max == max(values)
    assert aggregate.sum == pytest.approx(math.fsum(values), rel=1e-12)
    assert aggregate.average == pytest.approx(statistics.fmean(values), rel=1e-12)
    assert aggregate.quantile(0.5) == pytest.approx(statistics.median(values), rel=0.01)
    for percent in (0, 1, 10, 90, 99, 99.9, 100):
        true = np.quantile(values, percent / 100)
        assert aggregate.quantile(percent / 100) == pytest.approx(true, rel=0.01)


@given(VALUES)
def test_the_ends_are_exact(values: list[float]) -> None:
    """The quantiles 0 and 1 are exactly the smallest and the largest value."""
    aggregate = Aggregate.of(values)

    assert aggregate.quantile(0) == min(values)
    assert aggregate.quantile(1) == max(values)


@given(VALUES)
def test_average_and_quantiles_lie_between_min_and_max(values: list[float]) -> None:
    """Average and quantiles are between min and max, and the sum is finite, for all values."""
    aggregate = Aggregate.of(values)

    assert aggregate.min <= aggregate.average <= aggregate.max
    assert aggregate.min <= aggregate.quantile(0.3) <= aggregate.max
    assert math.isfinite(aggregate.sum)
    assert aggregate.histogram.count == aggregate.count


@given(VALUES, VALUES)
def test_merging_gives_the_aggregate_of_all(some: list[float], others: list[float]) -> None:
    """Merging two aggregates in either order gives the aggregate of all their values."""
    merged = Aggregate.of(some).merged_with(Aggregate.of(others))
    whole = Aggregate.of(some + others)

    assert merged == Aggregate.of(others).merged_with(Aggregate.of(some))
    assert merged.sum == pytest.approx(whole.sum, rel=1e-12)
    assert (merged.count, merged.min, merged.max) == (whole.count, whole.min, whole.max)
    assert merged.histogram == whole.histogram


def test_minus_zero_is_zero() -> None:
    """A value of -0.0 counts as 0.0, without its sign."""
    aggregate = Aggregate.of([-0.0])

    assert [math.copysign(1, x) for x in (aggregate.sum, aggregate.min, aggregate.max)] == [1, 1, 1]


def test_a_weight_counts_a_value_several_times() -> None:
    """A value with a weight counts as many times as its weight says."""
    aggregate = Aggregate.of([1.0, 10.0], [1, 3])

    assert (aggregate.count, aggregate.sum, aggregate.average) == (4, 31.0, 7.75)
    assert aggregate.quantile(0.5) == pytest.approx(10.0, rel=0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("average", 30.0),
        ("min", 10.0),
        ("max", 60.0),
        ("median", 20.0),
        ("count", 3),
        ("sum", 90.0),
        ("p0", 10.0),
        ("p50", 20.0),
        ("p100", 60.0),
        ("p75", 40.0),
        ("p50.000", 20.0),
    ],
)
def test_a_statistic_is_known_by_its_name(name: str, value: float) -> None:
    """A statistic is chosen by its name, and percentiles can have any decimals."""
    members = parse_statistic(name).members(Aggregate.of([10.0, 20.0, 60.0]))

    assert members == {"value": pytest.approx(value, rel=0.01)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("under20", 0.5),
        ("over20", 0.5),
        ("under9.9", 0.0),
        ("under10", 0.25),
        ("over0", 1.0),
        ("under60", 1.0),
        ("over60", 0.0),
        ("under1000000", 1.0),
    ],
)
def test_a_share_is_of_the_values_up_to_a_limit_or_above_it(name: str, value: float) -> None:
    """under<x> is the share of the values that are at most x, over<x> of all others."""
    members = parse_statistic(name).members(Aggregate.of([10.0, 19.0, 40.0, 60.0]))

    assert members == {"value": value}


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50), st.floats(0.001, 1e6))
def test_a_share_is_exact_for_a_limit_within_1_percent(values: list[float], limit: float) -> None:
    """The share lies between those of a limit 1 % lower and of one 1 % higher."""
    share = Aggregate.of(values).share_at_most(limit)

    lower, upper = (
        sum(value <= bound for value in values) / len(values)
        for bound in (limit * 0.99, limit * 1.011)
    )
    assert lower <= share <= upper


def test_a_summary_has_all_numbers_at_once() -> None:
    """A summary is what its statistics are one by one, but for the count, which answers have."""
    aggregate = Aggregate.of([10.0, 20.0, 60.0])
    summary = parse_statistic("summary")

    found = summary.members(aggregate)

    assert tuple(found) == summary.names
    for name, value in found.items():
        assert parse_statistic(name).members(aggregate) == {"value": value}


def test_a_histogram_has_each_bucket_with_its_ends() -> None:
    """Each value is within its bucket, buckets end at min and max, and their counts add up."""
    aggregate = Aggregate.of([10.0, 10.5, 60.0])

    buckets = parse_statistic("histogram").members(aggregate)["buckets"]

    assert [count for _, _, count in buckets] == [1, 1, 1]
    assert (buckets[0][0], buckets[-1][1]) == (10.0, 60.0)
    for value, (lower, upper, _) in zip([10.0, 10.5, 60.0], buckets, strict=True):
        assert lower <= value <= upper
        assert upper <= lower * 1.021


@given(VALUES)
def test_the_rows_of_a_histogram_are_written_as_they_are_read(values: list[float]) -> None:
    """Their JSON, put together from pieces, is that of the list of them."""
    rows = Aggregate.of(values).buckets()

    assert rows.json() == msgspec.json.encode(list(rows))
    assert len(rows) == len(list(rows))


def test_no_rows_are_an_empty_array() -> None:
    """An hour of which only dropped messages are known has an empty histogram."""
    assert EMPTY.buckets().json() == b"[]"


def test_what_is_exact_and_what_is_within_1_percent() -> None:
    """Percentiles but the ends, shares, summary and histogram are estimates, all else is exact."""
    exact = ("average", "min", "max", "count", "sum", "p0", "p100")
    estimates = ("median", "p50", "p99.9", "under1", "over1", "summary", "histogram")

    assert not any(parse_statistic(name).is_estimate for name in exact)
    assert all(parse_statistic(name).is_estimate for name in estimates)


@pytest.mark.parametrize(
    "name",
    ["mean", "p", "p101", "p-1", "p1e1", "p٥", "Median", "p99.", "", "under", "under-1", "overnan"],
)
def test_other_names_are_refused_with_what_is_allowed(name: str) -> None:
    """An unknown statistic is an error that lists the allowed names."""
    with pytest.raises(InvalidQueryError, match="stat must be one of average, min, max, median"):
        parse_statistic(name)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(0, 9), st.integers(0, 9))
def test_the_empty_aggregate_adds_nothing_and_drops_add_up(
    values: list[float], dropped: int, more: int
) -> None:
    """Merging with the empty aggregate changes nothing, and counts of dropped messages add up."""
    aggregate = replace(Aggregate.of(values), dropped=dropped)

    assert EMPTY.merged_with(aggregate) == aggregate.merged_with(EMPTY) == aggregate
    assert aggregate.merged_with(replace(EMPTY, dropped=more)).dropped == dropped + more


@pytest.mark.parametrize("statistic", ["average", "median", "p99"])
def test_nothing_has_no_statistic(statistic: str) -> None:
    """A statistic of no messages is an error that has the number of dropped messages."""
    with pytest.raises(NoDataError) as caught:
        parse_statistic(statistic).members(replace(EMPTY, dropped=3))

    assert caught.value.dropped == 3
