"""Mergeable logarithmic histogram: every quantile within 1 %, whatever the data.

Its buckets are those of ``metrics.buckets``. A bucket is only kept once it has a value: response
times from 1 ms to 19 s need at most 500. From a microsecond to a day (in ms) there are 1,272; no
histogram with a 1 % bound for all of that has fewer than ln(8.64e10) / ln(1.01 / 0.99) = 1,259, so
none of them is ever merged with another.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import numpy.typing as npt

from metrics.buckets import (
    GAP,
    LAST_TINY_BUCKET,
    LOG_GAMMA,
    SMALLEST,
    TINY,
    ZERO_BUCKET,
    value_of,
)

_COUNTED_MAX = 4096
"""How many buckets in a row are counted at once; more are mostly empty, and sorting is faster."""


def buckets_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bucket of each value.

    Args:
        values: Finite and >= 0, in any unit; one dimension.

    Returns:
        For each value the ``i`` with ``1.02**(i - 1) < value <= 1.02**i``, or for the tiny ones
        their distance from zero in units of the smallest double, from ``ZERO_BUCKET`` up.
    """
    if values.size and values.min() >= TINY:
        return np.ceil(np.log(values) / LOG_GAMMA).astype(np.int64)
    tiny = values < TINY
    steps = np.where(tiny, values, 0.0) / SMALLEST
    logs = np.log(np.where(tiny, 1.0, values)) / LOG_GAMMA
    return np.where(tiny, steps + ZERO_BUCKET, np.ceil(logs)).astype(np.int64)


def edges_of(
    buckets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lower and the upper end of each bucket; infinite above the largest double."""
    if buckets.size and buckets.min() > LAST_TINY_BUCKET:
        return _edges_of_large(buckets)
    tiny = buckets <= LAST_TINY_BUCKET
    exact = np.where(tiny, buckets - ZERO_BUCKET, 0) * SMALLEST
    lower, upper = _edges_of_large(np.where(tiny, 0, buckets))
    return np.where(tiny, exact, lower), np.where(tiny, exact, upper)


def _edges_of_large(
    buckets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    halves = buckets * (LOG_GAMMA / 2)
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(halves - LOG_GAMMA / 2) ** 2, np.exp(halves) ** 2


def buckets_at(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the buckets that ``rank_of`` gives these ranks."""
    buckets = ranks + ZERO_BUCKET
    if buckets.size and buckets.min() > LAST_TINY_BUCKET:
        return buckets + GAP
    return np.where(buckets <= LAST_TINY_BUCKET, buckets, buckets + GAP)


class Histogram:
    """Counts per bucket, in the order of the buckets. It does not change.

    Args:
        buckets: Those that hold a value, from the lowest to the highest.
        counts: How many values each holds.
    """

    __slots__ = ("_buckets", "_counts", "_up_to")

    def __init__(self, buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
        self._buckets = buckets
        self._counts = counts
        self._up_to: list[float] | None = None

    @classmethod
    def of(
        cls,
        values: npt.NDArray[np.float64],
        weights: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Return the histogram of values (finite, >= 0), each counted ``weights`` times or once."""
        buckets = buckets_of(values)
        if weights is not None:
            return cls(*_added_up(buckets, weights))
        lowest = int(buckets.min())
        if int(buckets.max()) - lowest < _COUNTED_MAX:
            in_all = np.bincount(buckets - lowest)
            places = np.flatnonzero(in_all)
            return cls(places + lowest, in_all[places])
        return cls(*np.unique(buckets, return_counts=True))

    @classmethod
    def of_counts(cls, counts: Mapping[int, int]) -> Self:
        """Return the histogram of buckets and of how many values each holds, at least one."""
        buckets = sorted(counts)
        return cls(np.array(buckets), np.array([counts[bucket] for bucket in buckets]))

    @classmethod
    def empty(cls) -> Self:
        """Return the histogram of no values."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield ``(bucket, count)`` from the lowest bucket to the highest."""
        return zip(*self.columns(), strict=True)

    def __len__(self) -> int:
        """Return the number of buckets that hold a value."""
        return self._buckets.size

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Histogram)
            and np.array_equal(self._buckets, other._buckets)
            and np.array_equal(self._counts, other._counts)
        )

    __hash__ = None  # type: ignore[assignment]  # counts are no identity

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts.tolist())

    def merged_with(self, other: Self) -> Self:
        """Return the histogram of the values of both."""
        return type(self)(
            *_added_up(
                np.concatenate((self._buckets, other._buckets)),
                np.concatenate((self._counts, other._counts)),
            )
        )

    def count_at_most(self, limit: float) -> int:
        """Return how many values are in buckets whose number is at most a limit."""
        at_most = bisect_right(self._buckets.tolist(), limit, key=value_of)
        return int(self._counts_up_to()[at_most - 1]) if at_most else 0

    def columns(self) -> tuple[list[int], list[int]]:
        """Return the buckets that hold a value, from the lowest on, and how many each holds."""
        return self._buckets.tolist(), self._counts.tolist()

    def value_at(self, rank: int) -> float:
        """Return the value at a rank, within 1 %.

        Args:
            rank: 0 for the smallest value, ``count - 1`` for the largest.

        Raises:
            IndexError: If there are not that many values.
        """
        up_to = self._counts_up_to()
        place = bisect_right(up_to, rank)
        if place == len(up_to):
            raise IndexError(f"rank {rank} of a histogram of {self.count} values")
        return value_of(int(self._buckets[place]))

    def _counts_up_to(self) -> list[float]:
        """Return for each bucket how many values are in it and in those below.

        They are kept: a summary asks for ten ranks. As doubles, which are exact as long as a
        count is, and do not overflow when many counts have reached their limit.
        """
        if self._up_to is None:
            self._up_to = np.cumsum(self._counts, dtype=np.float64).tolist()
        return self._up_to


def _added_up(
    buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each bucket once, in order, with what is counted in it."""
    found, places = np.unique(buckets, return_inverse=True)
    totals = np.zeros(found.size, dtype=np.int64)
    np.add.at(totals, places, counts)
    return found, totals
