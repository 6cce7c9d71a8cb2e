"""The aggregate of many key-hours at once, read from their hashes.

A prefix touches hundreds of thousands of fields. So nothing here is written in Python for each of
them: a text that was seen before is looked up, and numpy adds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from metrics.aggregate import BUCKET_PREFIX, COUNT_MAX, DROPPED_FIELD, Aggregate
from metrics.errors import StorageUnsoundError
from metrics.histogram import Histogram

_FIELDS = (b"count", b"sum", b"min", b"max", DROPPED_FIELD)
_COUNT, _SUM, _MIN, _MAX, _DROPPED = range(len(_FIELDS))
_PREFIX = BUCKET_PREFIX.encode()
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


class _Names(dict[bytes, int]):
    """The names of fields, numbered: first those that are no buckets, then as they come."""

    def __init__(self) -> None:
        super().__init__(zip(_FIELDS, range(len(_FIELDS)), strict=True))

    def __missing__(self, name: bytes) -> int:
        self[name] = number = len(self)
        return number

    @property
    def buckets(self) -> list[int]:
        """The buckets, in the order of their numbers."""
        names = list(self)[len(_FIELDS) :]
        if not all(name.startswith(_PREFIX) for name in names):
            raise ValueError("a field is no bucket")
        return [int(name[len(_PREFIX) :]) for name in names]


class _Values(dict[bytes, float]):
    """The texts of values, each read once; every count is exact in a double."""

    def __missing__(self, text: bytes) -> float:
        self[text] = value = float(text)
        return value


def merged(hashes: Sequence[Sequence[bytes]]) -> Merged:
    """Return what key-hours hold together: what merging the aggregate of each would give.

    Args:
        hashes: Of each what HGETALL replies: field, value, field, value; nothing, if there are no
            messages of it.

    Raises:
        StorageUnsoundError: If any is not the hash of a key-hour.
    """
    names, texts = _Names(), _Values()
    sizes = [len(items) // 2 for items in hashes]
    fields = chain.from_iterable(items[::2] for items in hashes)
    values = chain.from_iterable(items[1::2] for items in hashes)
    try:
        name = np.fromiter(map(names.__getitem__, fields), np.int64, sum(sizes))
        value = np.fromiter(map(texts.__getitem__, values), np.float64, sum(sizes))
        buckets = names.buckets
    except ValueError as error:
        raise StorageUnsoundError(f"not the hash of a key-hour: {error}") from error
    if not _is_sound(np.repeat(np.arange(len(hashes)), sizes), name, value):
        raise StorageUnsoundError("not the hash of a key-hour: its numbers do not agree")
    totals = np.bincount(name, weights=value, minlength=len(names))
    keys = int((name == _COUNT).sum())
    if not keys:
        return Merged(None, 0, int(totals[_DROPPED]))
    counts = totals[len(_FIELDS) :].astype(np.int64)
    aggregate = Aggregate(
        count=int(totals[_COUNT]),
        sum=min(float(totals[_SUM]), _LARGEST),
        min=float(value[name == _MIN].min()),
        max=float(value[name == _MAX].max()),
        histogram=Histogram(dict(zip(buckets, counts.tolist(), strict=True))),
    )
    return Merged(aggregate, keys, int(totals[_DROPPED]))


def _is_sound(
    key_hour: npt.NDArray[np.int64], name: npt.NDArray[np.int64], value: npt.NDArray[np.float64]
) -> bool:
    """Tell whether each key-hour is an aggregate, or nothing.

    Args:
        key_hour: For each field the key-hour that has it.
        name: The number of its name.
        value: Its value.
    """
    count, total, least, most = (name == number for number in (_COUNT, _SUM, _MIN, _MAX))
    bucket = name >= len(_FIELDS)
    whole = value[count | bucket | (name == _DROPPED)]
    size = int(key_hour[-1]) + 1 if key_hour.size else 0
    counts, in_buckets = (
        np.bincount(key_hour[each], weights=value[each], minlength=size) for each in (count, bucket)
    )
    return bool(
        all(np.array_equal(key_hour[count], key_hour[each]) for each in (total, least, most))
        and np.array_equal(counts, np.minimum(in_buckets, COUNT_MAX))
        and (value[count] > 0).all()
        and ((whole >= 0) & (whole == np.floor(whole))).all()
        and (value[total] <= _LARGEST).all()
        and ((value[least] >= 0) & (value[least] <= value[most])).all()
        and (value[most] <= _LARGEST).all()
    )
