"""Short columns of many key-hours, folded all at once.

numpy takes some ten calls for a column, whatever its length. Where most key-hours have a value or
two, as when very many keys are new, that is nearly all of what a worker does; so those are laid
end to end, and the same calls fold them together.
"""

import sys
from collections.abc import Sequence

import numpy as np

from metrics.aggregate import Aggregate
from metrics.buckets import ZERO_BUCKET
from metrics.entry import read_values
from metrics.histogram import Histogram, buckets_of

LENGTH_MAX = 256
"""How long the text of a short column is at most: about forty values."""

_LARGEST = sys.float_info.max

# More than the highest bucket is above the lowest.
_BUCKET_BITS = 20


def is_short(text: bytes) -> bool:
    """Return whether the text of a column is of few values, none of them sampled."""
    return len(text) <= LENGTH_MAX and text[:1].isdigit() and b"*" not in text


def fold_short(texts: Sequence[bytes]) -> list[Aggregate]:
    """Return the aggregate of each of some columns that are short.

    Raises:
        EntryUnreadableError: If any is not values that a collector accepts.
    """
    if not texts:
        return []
    values, _ = read_values(texts)
    # Values that decode as JSON have a comma between any two and nowhere else.
    lengths = np.array([text.count(b",") + 1 for text in texts])
    ends = lengths.cumsum()
    starts = ends - lengths
    array = np.array(values) + 0.0  # -0.0 becomes 0.0
    with np.errstate(over="ignore"):
        sums = np.minimum(np.add.reduceat(array, starts), _LARGEST)
    mins, maxs = np.minimum.reduceat(array, starts), np.maximum.reduceat(array, starts)
    owners = np.repeat(np.arange(lengths.size) << _BUCKET_BITS, lengths)
    found, counts = np.unique(owners + (buckets_of(array) - ZERO_BUCKET), return_counts=True)
    buckets = (found & ((1 << _BUCKET_BITS) - 1)) + ZERO_BUCKET
    edges = np.searchsorted(found, np.arange(lengths.size + 1) << _BUCKET_BITS).tolist()
    return [
        Aggregate(length, total, least, most, Histogram(buckets[start:end], counts[start:end]))
        for length, total, least, most, start, end in zip(
            *(each.tolist() for each in (lengths, sums, mins, maxs)),
            edges[:-1],
            edges[1:],
            strict=True,
        )
    ]
