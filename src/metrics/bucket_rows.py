"""The buckets of a histogram as an answer has them: two ends and a count each."""

from collections.abc import Iterator, Sequence
from operator import add
from typing import overload

import msgspec

from metrics.buckets import edges_of

BucketRow = tuple[float, float, int]
"""The lower and the upper end, and how many values lie between them."""


class _Edges(dict[int, tuple[float, float]]):
    """The ends of the buckets that were seen: a service has the same few hundred in all answers."""

    def __missing__(self, bucket: int) -> tuple[float, float]:
        self[bucket] = edges = edges_of(bucket)
        return edges


class _Beginnings(dict[int, bytes]):
    """How the rows of the buckets that were seen begin as JSON: with their ends."""

    def __missing__(self, bucket: int) -> bytes:
        self[bucket] = text = _beginning(*_EDGES[bucket])
        return text


_EDGES = _Edges()
_BEGINNINGS = _Beginnings()


class BucketRows(Sequence[BucketRow]):
    """The rows of a histogram, from the lowest bucket to the highest.

    Args:
        buckets: Those that have values, in order.
        counts: How many values each has.
        low: The smallest value: where the first row begins.
        high: The largest value: where the last row ends.
    """

    def __init__(
        self, buckets: Sequence[int], counts: Sequence[int], low: float, high: float
    ) -> None:
        self._buckets = buckets
        self._counts = counts
        self._low = low
        self._high = high

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._buckets)

    @overload
    def __getitem__(self, index: int) -> BucketRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[BucketRow]: ...
    def __getitem__(self, index: int | slice) -> BucketRow | list[BucketRow]:
        """Return a row, or some."""
        return list(self)[index]

    def __iter__(self) -> Iterator[BucketRow]:
        """Yield the rows."""
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            lower, upper = self._within(bucket)
            yield lower, upper, count

    def json(self) -> bytes:
        """Return the array of the rows; a number is not written anew for each answer."""
        if not self._buckets:
            return b"[]"
        beginnings = list(map(_BEGINNINGS.__getitem__, self._buckets))
        for end in (0, -1):
            beginnings[end] = _beginning(*self._within(self._buckets[end]))
        counts = msgspec.json.encode(self._counts)[1:-1].split(b",")
        return b"[" + b"],".join(map(add, beginnings, counts)) + b"]]"

    def _within(self, bucket: int) -> tuple[float, float]:
        lower, upper = _EDGES[bucket]
        return max(lower, self._low), min(upper, self._high)


def _beginning(lower: float, upper: float) -> bytes:
    return msgspec.json.encode((lower, upper))[:-1] + b","
