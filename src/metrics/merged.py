"""The aggregate of many key-hours, read from their hashes piece by piece."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from metrics.aggregate import Aggregate
from metrics.histogram import Histogram, buckets_at
from metrics.soundness import (
    COUNT,
    DROPPED,
    FIRST_BUCKET,
    LATE,
    MAX,
    MIN,
    SUM,
    Fields,
    read_fields,
)

_LARGEST = sys.float_info.max


class Merger:
    """Adds key-hours up."""

    def __init__(self) -> None:
        self._count = self._dropped = self._late = 0
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf
        # Of the buckets from one rank on, each that was seen and all between.
        self._lowest = 0
        self._totals = np.zeros(0, np.int64)

    def add(self, fields: Fields) -> None:
        """Add the fields of key-hours that are sound."""
        names, values = fields.names, fields.values
        self._dropped += int(values[names == DROPPED].sum())
        self._late += int(values[names == LATE].sum())
        counts = values[names == COUNT]
        if counts.size:
            self._count += int(counts.astype(np.int64).sum())
            with np.errstate(over="ignore"):
                self._sum = min(self._sum + float(values[names == SUM].sum()), _LARGEST)
            self._min = min(self._min, float(values[names == MIN].min()))
            self._max = max(self._max, float(values[names == MAX].max()))
            is_bucket = names >= FIRST_BUCKET
            self._add_buckets(names[is_bucket] - FIRST_BUCKET, values[is_bucket].astype(np.int64))

    def _add_buckets(self, ranks: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
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
        buckets = buckets_at(places + self._lowest).tolist()
        histogram = Histogram(dict(zip(buckets, self._totals[places].tolist(), strict=True)))
        return Aggregate(
            *(self._count, self._sum, self._min, self._max, histogram),
            dropped=self._dropped,
            late=self._late,
        )


def merged(hashes: Sequence[Sequence[bytes]]) -> Aggregate:
    """Return what key-hours hold together; see ``read_fields`` for errors."""
    merger = Merger()
    merger.add(read_fields(hashes))
    return merger.merged()


def merged_of(fields: Mapping[bytes, bytes]) -> Aggregate:
    """Return what the fields of one hash hold.

    Raises:
        UnsoundHashError: If it is not the hash of a key-hour.
    """
    return merged([[part for field in fields.items() for part in field]])
