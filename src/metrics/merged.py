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

PARTS_SIZE_MAX = 100_000
"""How many buckets wait to be added up, beyond those of which each is there once: 1.6 MB."""

_LARGEST = sys.float_info.max


class Merger:
    """Adds key-hours up.

    Their buckets are kept as they came, and added up when there are many, or at the end: most often
    an hour is a single hash.
    """

    def __init__(self) -> None:
        self._count = self._dropped = self._late = 0
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf
        # Of some buckets each: how many are below it, and how many values it holds.
        self._parts: list[tuple[Indexes, Indexes]] = []
        self._size = 0

    def add(self, hashes: SoundHashes, first: int = 0, end: int | None = None) -> None:
        """Add key-hours.

        Args:
            hashes: They are among these.
            first: The first of them.
            end: The first after them; all to the last, if it is not given.
        """
        some = slice(first, end)
        self._dropped += sum(hashes.dropped[some])
        self._late += sum(hashes.late[some])
        self._count += sum(hashes.count[some])
        self._sum = min(self._sum + sum(hashes.sum[some]), _LARGEST)
        self._min = min(self._min, *hashes.min[some])
        self._max = max(self._max, *hashes.max[some])
        buckets = slice(hashes.starts[first], hashes.starts[-1 if end is None else end])
        if buckets.start < buckets.stop:
            self._add_part(hashes.ranks[buckets], hashes.counts[buckets])

    def add_merged(self, other: Self) -> None:
        """Add what another one holds."""
        self._dropped += other._dropped
        self._late += other._late
        self._count += other._count
        self._sum = min(self._sum + other._sum, _LARGEST)
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)
        for ranks, counts in other._parts:
            self._add_part(ranks, counts)

    def _add_part(self, ranks: Indexes, counts: Indexes) -> None:
        self._parts.append((ranks, counts))
        self._size += ranks.size
        if self._size > PARTS_SIZE_MAX:
            ranks, counts = _added_up(self._parts)
            self._parts, self._size = [(ranks, counts)], 0

    def merged(self) -> Aggregate:
        """Return what they hold together."""
        ranks, counts = _added_up(self._parts)
        return Aggregate(
            *(self._count, self._sum, self._min, self._max),
            Histogram(buckets_at(ranks), counts),
            dropped=self._dropped,
            late=self._late,
        )


def _added_up(parts: Sequence[tuple[Indexes, Indexes]]) -> tuple[Indexes, Indexes]:
    """Return each bucket once, in order, with what is counted in it."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ranks, counts = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    lowest = int(ranks.min())
    totals = np.zeros(int(ranks.max()) + 1 - lowest, np.int64)
    np.add.at(totals, ranks - lowest, counts)
    places = np.flatnonzero(totals)
    return places + lowest, totals[places]


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
