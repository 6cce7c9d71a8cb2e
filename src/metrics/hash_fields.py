"""The fields of key-hours' hashes as numbers, sound or not.

A prefix touches millions of fields, so nothing here is written in Python for each of them: a text
that was seen before is looked up.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics.aggregate import BUCKET_PREFIX, DROPPED_FIELD, LATE_FIELD
from metrics.buckets import rank_of

FIELDS = (b"count", b"sum", b"min", b"max", DROPPED_FIELD, LATE_FIELD)
COUNT, SUM, MIN, MAX, DROPPED, LATE = range(len(FIELDS))
UNKNOWN = len(FIELDS)
"""The number of all names that are none of ours."""
FIRST_BUCKET = UNKNOWN + 1

_PREFIX = BUCKET_PREFIX.encode()
_BUCKET = re.compile(rb"0|-?[1-9][0-9]{0,4}")
_WHOLE = re.compile(rb"0|[1-9][0-9]{0,15}")
_REAL = re.compile(rb"[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?")
_KEPT_DIGITS = 5
"""A whole number of no more digits comes again and again, and is kept."""

Numbers = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]


class _Names(dict[bytes, int]):
    """The numbers of the names that were seen: there are only so many that are ours."""

    def __missing__(self, name: bytes) -> int:
        number = _number_of(name)
        if number != UNKNOWN:
            self[name] = number
        return number


class _Values(dict[bytes, float]):
    """The values of the small whole numbers that were seen."""

    def __missing__(self, text: bytes) -> float:
        value = _value_of(text)
        if len(text) <= _KEPT_DIGITS and value >= 0:
            self[text] = value
        return value


_NAMES = _Names()
_VALUES = _Values()


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of hashes, one after the other.

    Attributes:
        names: Of each its number: its place in ``FIELDS``; a bucket's rank from ``FIRST_BUCKET``.
        values: Of each its value, infinite if it is none. No number of a hash is negative, so the
            sign says how it is written: plainly, as counts are, or with a point or exponent,
            turned to the negative.
        foreign: The first name that is none of ours, if there is any.
    """

    names: Indexes
    values: Numbers
    foreign: bytes = b""


def parse_fields(fields: Iterable[bytes], texts: Iterable[bytes], size: int) -> Fields:
    """Return fields as numbers, sound or not.

    Args:
        fields: Their names.
        texts: Their values.
        size: How many they are.
    """
    listed = list(fields)
    names = np.fromiter(map(_NAMES.__getitem__, listed), np.int64, size)
    unknown = np.flatnonzero(names == UNKNOWN)
    return Fields(
        names,
        np.fromiter(map(_VALUES.__getitem__, texts), np.float64, size),
        listed[unknown[0]] if unknown.size else b"",
    )


def _number_of(name: bytes) -> int:
    if name in FIELDS:
        return FIELDS.index(name)
    text = name[len(_PREFIX) :]
    if name.startswith(_PREFIX) and _BUCKET.fullmatch(text):
        rank = rank_of(int(text))
        if rank is not None:
            return FIRST_BUCKET + rank
    return UNKNOWN


def _value_of(text: bytes) -> float:
    if _WHOLE.fullmatch(text):
        return float(text)
    return -float(text) if _REAL.fullmatch(text) else -math.inf
