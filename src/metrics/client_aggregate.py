"""Client aggregates: what a sender has folded itself, and whether it is one.

It stands for ``count`` messages. One that is not sound would spoil the hash of its key-hour for
good, so each is checked, by the collector and once more by the worker: as strictly as the hash is
(``metrics.soundness``), so that aggregates that are sound add up to a hash that is.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from metrics.buckets import bucket_of, edges_of, rank_of
from metrics.errors import InvalidMessageError

AGGREGATE_COUNT_MAX = 1_000_000_000
"""How many messages the aggregates of one request may stand for, and so one of them."""

AGGREGATE_BUCKETS_MAX = 1500
"""How many buckets one may have: from a microsecond to a day there are 1,272, and as many as this
are still shorter, as text, than an entry may be."""

FIELDS = ("count", "sum", "min", "max", "buckets")

_BUCKET = re.compile(r"0|-?[1-9][0-9]{0,4}", re.ASCII)
_NUMBER = rb"[0-9]{1,40}(?:\.[0-9]{1,40})?(?:e[+-]?[0-9]{1,3})?"
_TEXT = re.compile(
    rb"count=([0-9]{1,10}) sum=(%b) min=(%b) max=(%b)((?: -?[0-9]{1,5}=[0-9]{1,10})+)"
    % (_NUMBER, _NUMBER, _NUMBER)
)
_LARGEST = sys.float_info.max

# A billion additions may lose so much; a hash allows ten times more, for its own rounding.
_SUM_SLACK = 1e-7
# Another machine's logarithm may put a value at the edge of a bucket into the next one.
_EDGE_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class ClientAggregate:
    """A client aggregate that is sound.

    Attributes:
        count: How many messages it stands for.
        sum: Of their values.
        min: The smallest of them.
        max: The largest.
        buckets: Bucket -> how many of the values are in it.
    """

    count: int
    sum: float
    min: float
    max: float
    buckets: Mapping[int, int]

    @classmethod
    def parse(cls, content: object) -> Self:
        """Return the aggregate that an object of JSON is.

        Raises:
            InvalidMessageError: If it is none, or one that cannot be.
        """
        if not isinstance(content, dict):
            raise InvalidMessageError(
                "aggregate must be an object of count, sum, min, max and buckets", got=content
            )
        for name in FIELDS:
            if name not in content:
                raise InvalidMessageError("aggregate must have %s", name)
        if len(content) > len(FIELDS):
            foreign = next(name for name in content if name not in FIELDS)
            raise InvalidMessageError("aggregate has an unknown field", got=foreign)
        found = content["buckets"]
        if not isinstance(found, dict) or not 1 <= len(found) <= AGGREGATE_BUCKETS_MAX:
            raise InvalidMessageError(
                "aggregate buckets must be an object of 1 to %d buckets, each with its count",
                AGGREGATE_BUCKETS_MAX,
                got=found,
            )
        aggregate = cls(
            count=_count(content["count"], "count"),
            sum=_number(content["sum"], "sum"),
            min=_number(content["min"], "min"),
            max=_number(content["max"], "max"),
            buckets={_bucket(name): _count(of_it, "buckets") for name, of_it in found.items()},
        )
        aggregate._check()
        return aggregate

    @classmethod
    def of_text(cls, text: bytes) -> Self:
        """Return the aggregate that the text of a column is; see ``text``.

        Raises:
            InvalidMessageError: If it is none, or one that cannot be.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise InvalidMessageError("aggregate must be written as collectors do", got=text)
        count, *numbers, pairs = found.groups()
        buckets = (pair.split("=") for pair in pairs.decode().split())
        content = dict(zip(("sum", "min", "max"), map(float, numbers), strict=True))
        return cls.parse(
            {"count": int(count), **content, "buckets": {name: int(of) for name, of in buckets}}
        )

    @property
    def text(self) -> str:
        """How it stands in a column: ``count=1 sum=7.0 min=7.0 max=7.0 99=1``."""
        numbers = f"count={self.count} sum={self.sum!r} min={self.min!r} max={self.max!r}"
        return f"{numbers} {' '.join(f'{bucket}={of}' for bucket, of in self.buckets.items())}"

    def _check(self) -> None:
        if sum(self.buckets.values()) != self.count:
            raise InvalidMessageError("aggregate count must be what the buckets add up to")
        if self.min > self.max:
            raise InvalidMessageError("aggregate min must be at most max")
        for name, value, bucket in (
            ("min is not in the lowest", self.min, min(self.buckets)),
            ("max is not in the highest", self.max, max(self.buckets)),
        ):
            if not _is_in(value, bucket):
                raise InvalidMessageError("aggregate %s of the buckets", name, got=value)
        low, high = self._sums()
        if not low <= self.sum <= high:
            raise InvalidMessageError(
                "aggregate sum cannot be that of such values: it lies between %r and %r",
                low,
                min(high, _LARGEST),
                got=self.sum,
            )

    def _sums(self) -> tuple[float, float]:
        """Return between which two numbers the sum must lie."""
        least = most = 0.0
        for bucket, count in self.buckets.items():
            lower, upper = edges_of(bucket)
            least += count * lower
            most += count * upper
        # What exceeds the largest double stays there.
        low = min(max(self.count * self.min, least), _LARGEST) * (1 - _SUM_SLACK)
        return low, min(self.count * self.max, most) * (1 + _SUM_SLACK)


def _is_in(value: float, bucket: int) -> bool:
    above = min(value * (1 + _EDGE_SLACK), _LARGEST)
    return bucket_of(value * (1 - _EDGE_SLACK)) <= bucket <= bucket_of(above)


def _count(value: object, name: str) -> int:
    if isinstance(value, int) and value is not True and 1 <= value <= AGGREGATE_COUNT_MAX:
        return value
    raise InvalidMessageError(
        "aggregate %s must be an integer from 1 to %d", name, AGGREGATE_COUNT_MAX, got=value
    )


def _number(value: object, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if 0 <= number <= _LARGEST:
            return number + 0.0  # -0.0 becomes 0.0
    raise InvalidMessageError("aggregate %s must be a finite number, 0 or more", name, got=value)


def _bucket(name: object) -> int:
    if isinstance(name, str) and _BUCKET.fullmatch(name) and rank_of(int(name)) is not None:
        return int(name)
    raise InvalidMessageError(
        'aggregate buckets must be named by the i of (1.02^(i-1), 1.02^i], such as "244"', got=name
    )
