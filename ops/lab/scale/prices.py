"""Prices: what a unit of work costs, and how prices are found from measurements of mixed work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Counts = Mapping[str, float]
"""Unit of work -> how many of it."""

Prices = Mapping[str, float]
"""Unit of work -> what one costs: CPU seconds, or bytes."""


@dataclass(frozen=True, slots=True)
class LinearCost:
    """What a request costs: something for itself, and something for each of its messages.

    Attributes:
        request: CPU seconds, or bytes.
        message: The same.
    """

    request: float
    message: float

    @classmethod
    def through(cls, few: tuple[float, float], many: tuple[float, float]) -> "LinearCost":
        """Return the line through two measurements, each of messages in a request and its cost."""
        message = max(0.0, (many[1] - few[1]) / (many[0] - few[0]))
        return cls(max(0.0, few[1] - few[0] * message), message)

    def of(self, requests: float, messages: float) -> float:
        """Return what so many requests with so many messages in all cost."""
        return requests * self.request + messages * self.message


def cost(counts: Counts, prices: Prices) -> float:
    """Return what some work costs.

    Raises:
        KeyError: If a unit has no price.
    """
    return sum(count * prices[unit] for unit, count in counts.items())


def fit(measured: Sequence[tuple[Counts, float]]) -> dict[str, float]:
    """Return the prices that explain measurements best, none of them negative.

    Each measurement counts by its relative error, so a small one is no less worth than a large
    one. A price that comes out negative is within the noise of nothing, and is set to 0.

    Args:
        measured: Counts of the work that was done, and what it cost in all, which is > 0.
    """
    units = sorted({unit for counts, _ in measured for unit in counts})
    rows = np.array(
        [[counts.get(unit, 0.0) / spent for unit in units] for counts, spent in measured]
    )
    prices = dict.fromkeys(units, 0.0)
    kept = list(range(len(units)))
    while kept:
        found, *_ = np.linalg.lstsq(rows[:, kept], np.ones(len(measured)), rcond=None)
        if found.min() >= 0:
            prices |= {units[i]: float(price) for i, price in zip(kept, found, strict=True)}
            break
        del kept[int(found.argmin())]
    return prices
