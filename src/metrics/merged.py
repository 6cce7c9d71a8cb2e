"""The aggregate of many key-hours, read from their hashes piece by piece."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from metrics.aggregate import Aggregate
from metrics.hash_fields import Indexes
from metrics.histogram import Histogram, buckets_at
from metrics.soundness import SoundHashes, read_hashes

_LARGEST = sys.float_info.max


class Merger:
    """Adds key-hours up."""

    def __init__(self) -> None:
        self._count = self._dropped = self._late = 0
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf
        # Of the buckets from one rank on, each that was seen and all between.
        self._lowest = 0
        self._totals = np.zeros(0, np.int64)

    def add(self, hashes: SoundHashes, first: int = 0, end: int | None = None) -> None:
        """Add key-hours.

        Args:
            hashes: They are among these.
            first: The first of them.
            end: The first after them; all to the last, if it is not given.
        """
        some = slice(first, end)
        self._dropped += int(hashes.dropped[some].sum())
        self._late += int(hashes.late[some].sum())
        self._count += int(hashes.count[some].sum())
        with np.errstate(over="ignore"):
            self._sum = min(self._sum + float(hashes.sum[some].sum()), _LARGEST)
        self._min = min(self._min, float(hashes.min[some].min(initial=math.inf)))
        self._max = max(self._max, float(hashes.max[some].max(initial=-math.inf)))
        buckets = slice(hashes.starts[first], hashes.starts[-1 if end is None else end])
        if buckets.start < buckets.stop:
            self._add_buckets(hashes.ranks[buckets], hashes.counts[buckets])

    def _add_buckets(self, ranks: Indexes, counts: Indexes) -> None:
        lowest, end = int(ranks.min()), int(ranks.max()) + 1
        before = self._totals
        if before.size:
            lowest = min(lowest, self._lowest)
            end = max(end, self._lowest + before.size)
        if end - lowest > before.size:
            self._totals = np.zeros(end - lowest, np.int64)
            self._totals[self._lowest - lowest :][: before.size] = before
            self._lowest = lowest
        np.add.at(self._totals, ranks - lowest, counts)

    def add_merged(self, other: Self) -> None:
        """Add what another one holds."""
        self._dropped += other._dropped
        self._late += other._late
        self._count += other._count
        self._sum = min(self._sum + other._sum, _LARGEST)
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)
        places = np.flatnonzero(other._totals)
        if places.size:
            self._add_buckets(places + other._lowest, other._totals[places])

    def merged(self) -> Aggregate:
        """Return what they hold together."""
        places = np.flatnonzero(self._totals)
        histogram = Histogram(buckets_at(places + self._lowest), self._totals[places])
        return Aggregate(
            *(self._count, self._sum, self._min, self._max, histogram),
            dropped=self._dropped,
            late=self._late,
        )


def merged(hashes: Sequence[Sequence[bytes]]) -> Aggregate:
    """Return what key-hours hold together; see ``read_hashes`` for errors."""
    merger = Merger()
    merger.add(read_hashes(hashes))
    return merger.merged()


def merged_of(fields: Mapping[bytes, bytes]) -> Aggregate:
    """Return what the fields of one hash hold.

    Raises:
        UnsoundHashError: If it is not the hash of a key-hour.
    """
    return merged([[part for field in fields.items() for part in field]])
