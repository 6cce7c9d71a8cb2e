"""How messages spread: over partitions, keys and buckets, some of which get more than others."""

import math
from collections import Counter
from functools import cache
from random import Random

import numpy as np
import numpy.typing as npt

from metrics.keyspace import partition_of
from ops.lab.load.messages import SIGMA

_FLEETS_MAX, _KEYS_LOOKED_AT = 50, 50_000
_LOG_GAMMA = math.log(1.02)
_BUCKETS_SEEN = 300
"""To either side of the median: six times sigma, where there is one message in a billion."""


def distinct(places: float, draws: float) -> float:
    """Return how many different places are expected in some draws, each place equally likely.

    Args:
        places: How many there are, >= 1; between whole numbers it is interpolated.
        draws: How often one is drawn.
    """
    if places <= 1:
        return min(places, draws)
    return min(draws, places * -math.expm1(draws * math.log1p(-1 / places)))


def draws_for(places: float, distinct_per_draw: float) -> float:
    """Return the number of draws whose expected different places, by draw, are so many.

    Args:
        places: How many there are.
        distinct_per_draw: Above 0 and at most 1.
    """
    low, high = 1.0, 1e6
    for _ in range(60):
        middle = math.sqrt(low * high)
        if distinct(places, middle) / middle > distinct_per_draw:
            low = middle
        else:
            high = middle
    return low


def occupied(partitions: int, keys: int) -> int:
    """Return how many partitions have any of some keys, if these lie as well as they can.

    Keys that are numbered in a row do, as instances of an app are: those that differ in their
    last digit are in ten partitions.
    """
    return min(partitions, keys)


@cache
def busiest_share(partitions: int, keys: int) -> float:
    """Return the expected share of the keys that the busiest partition has, by their crc32.

    The mean over many fleets, whose keys end in an id drawn at random, as containers have them:
    they lie worse than keys that are numbered in a row.
    """
    random = Random(keys)  # noqa: S311  (a model)
    fleets = max(1, min(_FLEETS_MAX, _KEYS_LOOKED_AT // keys))
    shares = 0.0
    for _ in range(fleets):
        names = (f"checkout.web-{random.getrandbits(40):010x}" for _ in range(keys))
        counts = Counter(partition_of(name, partitions) for name in names)
        shares += max(counts.values()) / keys
    return shares / fleets


def buckets_in(messages: float) -> float:
    """Return how many buckets are expected to have any of some messages of a key-hour.

    Args:
        messages: Lognormal response times, as the benchmark sends them.
    """
    return float(-np.expm1(messages * np.log1p(-_bucket_shares())).sum())


@cache
def _bucket_shares() -> npt.NDArray[np.float64]:
    """Return the share of the messages that each bucket gets."""
    edges = (
        np.arange(-_BUCKETS_SEEN, _BUCKETS_SEEN + 1) * _LOG_GAMMA / SIGMA / math.sqrt(2)
    ).tolist()
    shares = np.diff([math.erf(edge) / 2 for edge in edges])
    return shares[shares > 0]
