"""Values of one key and hour, folded into a client aggregate: what they need does not grow."""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import truediv

from metrics.buckets import LOG_GAMMA, TINY, bucket_of
from metrics.client_aggregate import AGGREGATE_BUCKETS_MAX, AGGREGATE_COUNT_MAX
from metrics.hours import SECONDS_PER_HOUR

_LARGEST = sys.float_info.max


class Fold:
    """Count, sum, min, max and buckets of values; any number of them.

    Attributes:
        count: How many values it has.
        buckets: Bucket -> how many of them are in it.
    """

    __slots__ = ("_max", "_min", "_sum", "buckets", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf
        self.buckets: dict[int, int] = {}

    def has_room_for(self, values: int, counts: Mapping[int, int]) -> bool:
        """Return whether an aggregate may have so many values more, in these buckets."""
        return (
            self.count + values <= AGGREGATE_COUNT_MAX
            and len(self.buckets) + self.new_in(counts) <= AGGREGATE_BUCKETS_MAX
        )

    def new_in(self, counts: Mapping[int, int]) -> int:
        """Return how many of these buckets it does not have."""
        return len(counts.keys() - self.buckets.keys())

    def add(self, values: Sequence[float], counts: Mapping[int, int] | None = None) -> None:
        """Add values, at least one.

        Args:
            values: The values.
            counts: What ``count_buckets`` says of them, if it was asked.
        """
        buckets = self.buckets
        for bucket, count in (counts or count_buckets(values)).items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        self.count += len(values)
        self._sum = min(self._sum + _sum_of(values), _LARGEST)
        self._min = min(self._min, min(values))
        self._max = max(self._max, max(values))

    def written(self, key: str, hour: int | None = None) -> str:
        """Return it as an item of JSON.

        Args:
            key: Its key.
            hour: Its hour, since 1970; None for that of its arrival.
        """
        timestamp = "" if hour is None else f',"timestamp":{hour * SECONDS_PER_HOUR}'
        buckets = ",".join([f'"{bucket}":{count}' for bucket, count in self.buckets.items()])
        return (
            f'{{"key":"{key}","aggregate":{{"count":{self.count},"sum":{self._sum!r},'
            f'"min":{self._min!r},"max":{self._max!r},"buckets":{{{buckets}}}}}{timestamp}}}'
        )


def count_buckets(values: Sequence[float]) -> Counter[int]:
    """Return how many of the values are in which bucket; see ``metrics.buckets.bucket_of``."""
    if min(values) < TINY:
        return Counter(map(bucket_of, values))
    # The same without a line of Python for each value: a fifth of the time.
    return Counter(map(math.ceil, map(truediv, map(math.log, values), repeat(LOG_GAMMA))))


def _sum_of(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return _LARGEST
