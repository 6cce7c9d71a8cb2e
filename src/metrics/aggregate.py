"""The aggregate of one key-hour: count, sum, min, max, histogram; what came late, what was lost."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from metrics.bucket_rows import BucketRows
from metrics.errors import NoDataError
from metrics.histogram import Histogram

BUCKET_PREFIX = "b:"
COUNT_MAX = 2**53 - 1
"""What a count stays at once it is reached: all below is exact as a double."""

DROPPED_FIELD = b"dropped"
LATE_FIELD = b"late"
"""Names of fields in the hash of a key-hour: of buckets the beginning; of dropped and of late
messages."""

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What is kept of the messages of a key-hour. Any two merge, in any order.

    Attributes:
        count: Number of messages, sampled ones counted as often as they stand for; exact.
        sum: Sum of their values, within float rounding; at most the largest double.
        min: Smallest value, exact; infinite if there is none.
        max: Largest value, exact; minus infinite if there is none.
        histogram: The values, each within 1 %.
        dropped: How many messages their senders dropped, and said so. They are in nothing else.
        late: How many of the messages came after their hour and the allowed lateness.
    """

    count: int
    sum: float
    min: float
    max: float
    histogram: Histogram
    dropped: int = 0
    late: int = 0

    @classmethod
    def of(cls, values: Sequence[float], weights: Sequence[int] | None = None) -> Self:
        """Fold values into an aggregate.

        Args:
            values: At least one; finite and >= 0.
            weights: How often each value counts; once, if not given.
        """
        array = np.asarray(values, dtype=np.float64) + 0.0  # -0.0 becomes 0.0
        counts = None if weights is None else np.asarray(weights, dtype=np.int64)
        with np.errstate(over="ignore"):
            total = float(array.sum() if counts is None else (array * counts).sum())
        return cls(
            count=array.size if counts is None else int(counts.sum()),
            sum=min(total, _LARGEST),
            min=float(array.min()),
            max=float(array.max()),
            histogram=Histogram.of(array, counts),
        )

    @property
    def average(self) -> float:
        """Mean of the values; never outside min and max, as rounding might have it.

        Raises:
            NoDataError: If there are none.
        """
        self._require_data()
        return min(max(self.sum / self.count, self.min), self.max)

    def merged_with(self, other: Self) -> Self:
        """Return the aggregate of the messages of both."""
        return type(self)(
            count=self.count + other.count,
            sum=min(self.sum + other.sum, _LARGEST),
            min=min(self.min, other.min),
            max=max(self.max, other.max),
            histogram=self.histogram.merged_with(other.histogram),
            dropped=self.dropped + other.dropped,
            late=self.late + other.late,
        )

    def quantile(self, q: float) -> float:
        """Return the value below which the share ``q`` of the values lies, within 1 %.

        Between two ranks it is interpolated, so the median of an even number of values is the
        mean of the middle two. The ends are exact: ``quantile(0)`` is min, ``quantile(1)`` max.

        Args:
            q: 0 to 1.

        Raises:
            NoDataError: If there are no values.

        Source:
            Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996, definition 7.
        """
        self._require_data()
        position = q * (self.count - 1)
        rank = math.floor(position)
        lower = self._value_at(rank)
        if rank == position:
            return lower
        return lower + (self._value_at(rank + 1) - lower) * (position - rank)

    def share_at_most(self, limit: float) -> float:
        """Return the share of the values that are at most a limit.

        A bucket counts if the number that stands for it is at most the limit; so the share is
        exact for a limit that is within 1 % of the one asked for. It is 0 below min, 1 from max
        on, and neither in between.

        Raises:
            NoDataError: If there are no values.
        """
        self._require_data()
        if limit < self.min:
            return 0.0
        if limit >= self.max:
            return 1.0
        at_most = self.histogram.count_at_most(limit)
        return min(max(at_most, 1), self.count - 1) / self.count

    def buckets(self) -> BucketRows:
        """Return the ends of each bucket that has values, and how many; within min and max."""
        return BucketRows(*self.histogram.columns(), self.min, self.max)

    def _require_data(self) -> None:
        if not self.count:
            raise NoDataError("there are no messages", dropped=self.dropped)

    def _value_at(self, rank: int) -> float:
        if rank <= 0:
            return self.min
        if rank >= self.count - 1:
            return self.max
        return min(max(self.histogram.value_at(rank), self.min), self.max)


EMPTY = Aggregate(0, 0.0, math.inf, -math.inf, Histogram.empty())
"""The aggregate of no messages."""
