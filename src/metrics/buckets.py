"""The buckets of a histogram, one at a time and in plain Python, as a client needs them.

Bucket ``i`` holds the values in ``(1.02**(i - 1), 1.02**i]``. One number in it, 1 % above its
lower bound, stands for all of them, and is at most 0.02 / 2.02 = 0.99 % away from each.

Doubles below ``TINY`` are too coarse for that: two neighbours may be more than 2 % apart, and an
estimate between them cannot be written. There each double has a bucket of its own, counted up
from ``ZERO_BUCKET``, which holds the zeros.

Source:
    DDSketch: Masson, Rim, Lee, VLDB 2019, http://www.vldb.org/pvldb/vol12/p2195-masson.pdf
"""

import math
import sys

ZERO_BUCKET = -50_000

GAMMA = 1.02
LOG_GAMMA = math.log(GAMMA)
SMALLEST = math.ulp(0.0)
TINY = SMALLEST * 8192
LAST_TINY_BUCKET = ZERO_BUCKET + 8191

_LOG_MIDPOINT = math.log(2 / (1 + GAMMA))


def bucket_of(value: float) -> int:
    """Return the bucket of a value that is finite and >= 0.

    ``histogram.buckets_of`` returns the same of many; at the very edge of a bucket, where two
    logarithms may be rounded apart, perhaps its neighbour.
    """
    if value < TINY:
        return ZERO_BUCKET + int(value / SMALLEST)
    return math.ceil(math.log(value) / LOG_GAMMA)


def value_of(bucket: int) -> float:
    """Return the number that stands for all values of a bucket, within 1 % of each."""
    if bucket <= LAST_TINY_BUCKET:
        return (bucket - ZERO_BUCKET) * SMALLEST
    # Squared from its half: neither overflows on the way nor is rounded twice below the normals.
    half = math.exp((bucket * LOG_GAMMA + _LOG_MIDPOINT) / 2)
    return half * half


def edges_of(bucket: int) -> tuple[float, float]:
    """Return the lower and the upper end of a bucket; infinite above the largest double."""
    if bucket <= LAST_TINY_BUCKET:
        exact = (bucket - ZERO_BUCKET) * SMALLEST
        return exact, exact
    lower, upper = (math.exp(end * LOG_GAMMA / 2) for end in (bucket - 1, bucket))
    return lower * lower, upper * upper


_FIRST_BUCKET = bucket_of(TINY)
_LAST_BUCKET = bucket_of(sys.float_info.max)
# Between the tiny ones and the others there are numbers that no bucket has.
GAP = _FIRST_BUCKET - LAST_TINY_BUCKET - 1

BUCKETS_MAX = _LAST_BUCKET - ZERO_BUCKET + 1 - GAP
"""How many buckets there are in all."""


def rank_of(bucket: int) -> int | None:
    """Return how many buckets are below a bucket; None if no value is in one of that number."""
    if ZERO_BUCKET <= bucket <= LAST_TINY_BUCKET:
        return bucket - ZERO_BUCKET
    if _FIRST_BUCKET <= bucket <= _LAST_BUCKET:
        return bucket - ZERO_BUCKET - GAP
    return None
