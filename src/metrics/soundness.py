"""Whether the hash of a key-hour is one that commits can have written.

A hash that somebody changed by hand, or that is not ours, must give no answer. A prefix touches
hundreds of thousands of hashes, so many are checked at once.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from metrics.aggregate import COUNT_MAX
from metrics.buckets import BUCKETS_MAX
from metrics.errors import StorageUnsoundError
from metrics.hash_fields import (
    COUNT,
    DROPPED,
    FIELDS,
    FIRST_BUCKET,
    LATE,
    MAX,
    MIN,
    SUM,
    UNKNOWN,
    Fields,
    Indexes,
    Numbers,
    parse_fields,
)
from metrics.histogram import buckets_at, buckets_of, edges_of

FIELDS_PER_HASH_MAX = len(FIELDS) + BUCKETS_MAX
"""How many fields a key-hour can have."""

_LARGEST = sys.float_info.max

# Commits round at each addition, by 2**-53; after a billion of them less than this is lost.
_SUM_SLACK = 1e-6
# Another machine's logarithm may put a value at the edge of a bucket into the next one.
_EDGE_SLACK = 1e-9


class UnsoundHashError(StorageUnsoundError):
    """One of some hashes is not that of a key-hour.

    Attributes:
        index: Which of them.
        fault: What is wrong with it.
    """

    def __init__(self, index: int, fault: str) -> None:
        super().__init__(f"not the hash of a key-hour: {fault}")
        self.index = index
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SoundHashes:
    """What hashes of key-hours hold, one after the other.

    Attributes:
        count: Of each; 0 if it has no messages, or is none.
        sum: Of each; 0 if it has no messages.
        min: Of each; infinite if it has no messages.
        max: Of each; minus infinite if it has no messages.
        dropped: Of each.
        late: Of each.
        starts: Where the buckets of each begin; at the end where the last one's end.
        ranks: Of each bucket how many are below it.
        counts: Of each bucket how many values it holds.
    """

    count: list[int]
    sum: list[float]
    min: list[float]
    max: list[float]
    dropped: list[int]
    late: list[int]
    starts: list[int]
    ranks: Indexes
    counts: Indexes


def read_hashes(hashes: Sequence[Sequence[bytes]]) -> SoundHashes:
    """Return what hashes hold.

    Args:
        hashes: Of each what HGETALL replies: field, value, field, value; nothing, if there is
            none.

    Raises:
        UnsoundHashError: If any is not the hash of a key-hour.
    """
    sizes = [len(items) // 2 for items in hashes]
    fields = chain.from_iterable(items[::2] for items in hashes)
    texts = chain.from_iterable(items[1::2] for items in hashes)
    found = parse_fields(fields, texts, sum(sizes))
    return _sound(found, np.repeat(np.arange(len(hashes)), sizes), len(hashes))


def join_pages(pages: Sequence[Fields]) -> SoundHashes:
    """Return what one hash holds, of which some fields may be on several pages.

    Raises:
        UnsoundHashError: If it is not the hash of a key-hour.
    """
    names, places = np.unique(np.concatenate([page.names for page in pages]), return_index=True)
    values = np.concatenate([page.values for page in pages])[places]
    foreign = next((page.foreign for page in pages if page.foreign), b"")
    return _sound(Fields(names, values, foreign), np.zeros(names.size, np.int64), 1)


def _sound(fields: Fields, owners: Indexes, size: int) -> SoundHashes:
    table = _Table(size, owners, fields.names, fields.values)
    fault = _fault(table)
    if fault is not None:
        index, text = fault
        if text == _FOREIGN:
            text = f"{text}: {fields.foreign[:60]!r}"
        raise UnsoundHashError(index, text)
    return table.contents()


_FOREIGN = "a field is not known to this version"


class _Table:
    """What is compared of each hash; nan where it has none.

    Args:
        size: How many hashes there are.
        owners: Of each field the index of its hash.
        names: Of each field its number.
        values: Of each field its value, as ``_value_of`` has it.
    """

    def __init__(self, size: int, owners: Indexes, names: Indexes, values: Numbers) -> None:
        is_of_bucket = names >= FIRST_BUCKET
        self.ranks = names[is_of_bucket] - FIRST_BUCKET
        buckets = buckets_at(self.ranks)
        single = np.full((FIRST_BUCKET, size), np.nan)
        single[names[~is_of_bucket], owners[~is_of_bucket]] = values[~is_of_bucket]
        self.is_foreign = np.zeros(size, bool)
        self.is_foreign[owners[names == UNKNOWN]] = True
        whole = is_of_bucket | (names == COUNT) | (names == DROPPED) | (names == LATE)
        is_bad = np.signbit(values) | (values > COUNT_MAX)
        self.is_no_count = np.zeros(size, bool)
        self.is_no_count[owners[whole & is_bad]] = True
        self.is_no_number = np.isinf(single[[SUM, MIN, MAX]]).any(axis=0)

        self.count, self.dropped, self.late = single[[COUNT, DROPPED, LATE]]
        self.sum, self.min, self.max = np.abs(single[[SUM, MIN, MAX]])
        holders, counts = owners[is_of_bucket], values[is_of_bucket]
        self.holders, self.counts = holders, counts
        self.has_buckets = np.zeros(size, bool)
        self.has_buckets[holders] = True
        self.has_zero = np.zeros(size, bool)
        self.has_zero[holders[counts == 0]] = True
        self.in_buckets = np.bincount(holders, weights=counts, minlength=size)
        self.lowest = np.full(size, np.iinfo(np.int64).max)
        self.highest = np.full(size, np.iinfo(np.int64).min)
        np.minimum.at(self.lowest, holders, buckets)
        np.maximum.at(self.highest, holders, buckets)
        lower, upper = edges_of(buckets)
        with np.errstate(over="ignore", invalid="ignore"):
            self.sum_least = np.bincount(holders, weights=counts * lower, minlength=size)
            self.sum_most = np.bincount(holders, weights=counts * upper, minlength=size)

    def contents(self) -> SoundHashes:
        """Return what the hashes hold, once it is known that they are sound."""
        has_messages = ~np.isnan(self.count)
        return SoundHashes(
            count=_whole(self.count),
            sum=np.where(has_messages, self.sum, 0.0).tolist(),
            min=np.where(has_messages, self.min, np.inf).tolist(),
            max=np.where(has_messages, self.max, -np.inf).tolist(),
            dropped=_whole(self.dropped),
            late=_whole(self.late),
            starts=np.searchsorted(self.holders, np.arange(self.count.size + 1)).tolist(),
            ranks=self.ranks,
            counts=self.counts.astype(np.int64),
        )


def _fault(table: _Table) -> tuple[int, str] | None:
    """Return which hash is not sound, and what is wrong with it; None if all are."""
    is_missing = np.isnan([table.count, table.sum, table.min, table.max])
    has_messages = ~is_missing.all(axis=0) | table.has_buckets
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.maximum(table.count * table.min, table.sum_least) * (1 - _SUM_SLACK)
        high = np.minimum(table.count * table.max, table.sum_most) * (1 + _SUM_SLACK)
    # A sum goes on when a count has reached its limit.
    high = np.where(table.in_buckets < COUNT_MAX, high, np.inf)
    low = np.minimum(low, _LARGEST * (1 - _SUM_SLACK))
    # In this order: numbers are compared only once they are known to be there.
    for is_so, text in (
        (table.is_foreign, _FOREIGN),
        (table.is_no_count, "a count is no whole number from 0 to 2**53 - 1"),
        (table.is_no_number, "sum, min or max is no number from 0 up"),
        (has_messages & is_missing.any(axis=0), "count, sum, min or max is missing"),
        (has_messages & (table.has_zero | (table.count == 0)), "a count is 0"),
        (
            has_messages & (table.count != np.minimum(table.in_buckets, COUNT_MAX)),
            "count is not what the buckets add up to",
        ),
        (has_messages & (table.min > table.max), "min is above max"),
        (has_messages & ~_is_in(table.min, table.lowest), "min is not in the lowest bucket"),
        (has_messages & ~_is_in(table.max, table.highest), "max is not in the highest bucket"),
        (
            has_messages & ~((low <= table.sum) & (table.sum <= high)),
            "sum cannot be that of such values",
        ),
    ):
        found = np.flatnonzero(is_so)
        if found.size:
            return int(found[0]), text
    return None


def _whole(values: Numbers) -> list[int]:
    """Return numbers as whole ones; 0 where there is none."""
    whole: list[int] = np.where(np.isnan(values), 0.0, values).astype(np.int64).tolist()
    return whole


def _is_in(values: Numbers, buckets: Indexes) -> npt.NDArray[np.bool_]:
    """Return which values are in their bucket, or so near that another machine put them there."""
    known = np.where(values <= _LARGEST, values, 0.0)
    below = buckets_of(known * (1 - _EDGE_SLACK))
    with np.errstate(over="ignore"):
        above = buckets_of(np.minimum(known * (1 + _EDGE_SLACK), _LARGEST))
    return (below <= buckets) & (buckets <= above)
