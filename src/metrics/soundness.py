"""Whether the hash of a key-hour is one that commits can have written.

A hash that somebody changed by hand, or that is not ours, must give no answer. A prefix touches
hundreds of thousands of fields, so nothing here is written in Python for each of them: a text that
was seen before is looked up, and numpy does the rest.
"""

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt

from metrics.aggregate import BUCKET_PREFIX, COUNT_MAX, DROPPED_FIELD, LATE_FIELD
from metrics.errors import StorageUnsoundError
from metrics.histogram import BUCKETS_MAX, buckets_at, buckets_of, edges_of, rank_of

FIELDS = (b"count", b"sum", b"min", b"max", DROPPED_FIELD, LATE_FIELD)
COUNT, SUM, MIN, MAX, DROPPED, LATE = range(len(FIELDS))
UNKNOWN = len(FIELDS)
"""The number of all names that are none of ours."""
FIRST_BUCKET = UNKNOWN + 1

FIELDS_PER_HASH_MAX = len(FIELDS) + BUCKETS_MAX
"""How many fields a key-hour can have."""

_LARGEST = sys.float_info.max
_PREFIX = BUCKET_PREFIX.encode()
_BUCKET = re.compile(rb"0|-?[1-9][0-9]{0,4}")
_WHOLE = re.compile(rb"0|[1-9][0-9]{0,15}")
_REAL = re.compile(rb"[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?")

# Commits round at each addition, by 2**-53; after a billion of them less than this is lost.
_SUM_SLACK = 1e-6
# Another machine's logarithm may put a value at the edge of a bucket into the next one.
_EDGE_SLACK = 1e-9

Numbers = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]


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


# A process reads the same names and the same small numbers again and again.
@lru_cache(maxsize=2**18)
def _number_of(name: bytes) -> int:
    """Return the number of a field's name: its place in ``FIELDS``; a bucket's rank after them."""
    if name in FIELDS:
        return FIELDS.index(name)
    text = name[len(_PREFIX) :]
    if name.startswith(_PREFIX) and _BUCKET.fullmatch(text):
        rank = rank_of(int(text))
        if rank is not None:
            return FIRST_BUCKET + rank
    return UNKNOWN


@lru_cache(maxsize=2**16)
def _value_of(text: bytes) -> float:
    """Return the value of a number; infinite if it is none.

    No number of a hash is negative, so the sign says how it is written: plainly, as counts are,
    or with a point or exponent, turned to the negative.
    """
    if _WHOLE.fullmatch(text):
        return float(text)
    return -float(text) if _REAL.fullmatch(text) else -math.inf


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of hashes, one after the other.

    Attributes:
        names: Of each its number.
        values: Of each its value, as ``_value_of`` has it.
        foreign: The first name that is none of ours, if there is any.
    """

    names: Indexes
    values: Numbers
    foreign: bytes = b""

    def between(self, start: int, end: int) -> Self:
        """Return those from one place up to another."""
        return type(self)(self.names[start:end], self.values[start:end])


def parse_fields(fields: Iterable[bytes], texts: Iterable[bytes], size: int) -> Fields:
    """Return fields as numbers, sound or not.

    Args:
        fields: Their names.
        texts: Their values.
        size: How many they are.
    """
    listed = list(fields)
    names = np.fromiter(map(_number_of, listed), np.int64, size)
    unknown = np.flatnonzero(names == UNKNOWN)
    return Fields(
        names,
        np.fromiter(map(_value_of, texts), np.float64, size),
        listed[unknown[0]] if unknown.size else b"",
    )


def read_fields(hashes: Sequence[Sequence[bytes]]) -> Fields:
    """Return the fields of hashes that are sound.

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


def join_pages(pages: Sequence[Fields]) -> Fields:
    """Return the fields of one sound hash, of which some may be on several pages.

    Raises:
        UnsoundHashError: If it is not the hash of a key-hour.
    """
    names, places = np.unique(np.concatenate([page.names for page in pages]), return_index=True)
    values = np.concatenate([page.values for page in pages])[places]
    foreign = next((page.foreign for page in pages if page.foreign), b"")
    return _sound(Fields(names, values, foreign), np.zeros(names.size, np.int64), 1)


def _sound(fields: Fields, owners: Indexes, size: int) -> Fields:
    fault = _fault(_Table(size, owners, fields.names, fields.values))
    if fault is not None:
        index, text = fault
        if text == _FOREIGN:
            text = f"{text}: {fields.foreign[:60]!r}"
        raise UnsoundHashError(index, text)
    return Fields(fields.names, np.abs(fields.values))


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
        buckets = buckets_at(names[is_of_bucket] - FIRST_BUCKET)
        single = np.full((FIRST_BUCKET, size), np.nan)
        single[names[~is_of_bucket], owners[~is_of_bucket]] = values[~is_of_bucket]
        self.is_foreign = np.zeros(size, bool)
        self.is_foreign[owners[names == UNKNOWN]] = True
        whole = is_of_bucket | (names == COUNT) | (names == DROPPED) | (names == LATE)
        is_bad = np.signbit(values) | (values > COUNT_MAX)
        self.is_no_count = np.zeros(size, bool)
        self.is_no_count[owners[whole & is_bad]] = True
        self.is_no_number = np.isinf(single[[SUM, MIN, MAX]]).any(axis=0)

        self.count = single[COUNT]
        self.sum, self.min, self.max = np.abs(single[[SUM, MIN, MAX]])
        holders, counts = owners[is_of_bucket], values[is_of_bucket]
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


def _is_in(values: Numbers, buckets: Indexes) -> npt.NDArray[np.bool_]:
    """Return which values are in their bucket, or so near that another machine put them there."""
    known = np.where(values <= _LARGEST, values, 0.0)
    below = buckets_of(known * (1 - _EDGE_SLACK))
    with np.errstate(over="ignore"):
        above = buckets_of(np.minimum(known * (1 + _EDGE_SLACK), _LARGEST))
    return (below <= buckets) & (buckets <= above)
