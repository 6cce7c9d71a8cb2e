"""The aggregate of many key-hours, read from their hashes piece by piece."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.aggregate import Aggregate
from metrics.histogram import Histogram
from metrics.soundness import COUNT, DROPPED, FIRST_BUCKET, MAX, MIN, SUM, Reader

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Merged:
    """What some key-hours hold together.

    Attributes:
        aggregate: Of all messages; None if there are none.
        keys: How many key-hours have messages.
        dropped: How many messages their senders dropped, and said so.
    """

    aggregate: Aggregate | None
    keys: int
    dropped: int


class Merger:
    """Adds key-hours up.

    Args:
        reader: Reads their hashes; several mergers may share one.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._keys = 0
        self._sum, self._min, self._max = 0.0, _LARGEST, 0.0
        # By the number of the field; exact, and far from the largest that it holds.
        self._totals = np.zeros(FIRST_BUCKET, np.int64)

    def add(self, hashes: Sequence[Sequence[bytes]]) -> None:
        """Add some key-hours.

        Args:
            hashes: Of each what HGETALL replies: field, value, field, value; nothing, if there
                are no messages of it.

        Raises:
            UnsoundHashError: If any is not the hash of a key-hour.
        """
        fields = self._reader.read(hashes)
        names, values = fields.names, fields.values
        missing = FIRST_BUCKET + len(self._reader.buckets) - self._totals.size
        if missing:
            self._totals = np.concatenate([self._totals, np.zeros(missing, np.int64)])
        is_count = (names == COUNT) | (names == DROPPED) | (names >= FIRST_BUCKET)
        np.add.at(self._totals, names[is_count], values[is_count].astype(np.int64))
        keys = int((names == COUNT).sum())
        if keys:
            self._keys += keys
            with np.errstate(over="ignore"):
                self._sum = min(self._sum + float(values[names == SUM].sum()), _LARGEST)
            self._min = min(self._min, float(values[names == MIN].min()))
            self._max = max(self._max, float(values[names == MAX].max()))

    def merged(self) -> Merged:
        """Return what they hold together."""
        dropped = int(self._totals[DROPPED])
        if not self._keys:
            return Merged(None, 0, dropped)
        counts = self._totals[FIRST_BUCKET:].tolist()
        aggregate = Aggregate(
            count=int(self._totals[COUNT]),
            sum=self._sum,
            min=self._min,
            max=self._max,
            histogram=Histogram(
                {
                    bucket: count
                    for bucket, count in zip(self._reader.buckets, counts, strict=False)
                    if count
                }
            ),
        )
        return Merged(aggregate, self._keys, dropped)


def merged(hashes: Sequence[Sequence[bytes]]) -> Merged:
    """Return what key-hours hold together; see ``Merger.add``."""
    merger = Merger(Reader())
    merger.add(hashes)
    return merger.merged()


def merged_of(fields: Mapping[bytes, bytes]) -> Merged:
    """Return what the fields of one hash hold.

    Raises:
        UnsoundHashError: If it is not the hash of a key-hour.
    """
    return merged([[part for field in fields.items() for part in field]])
