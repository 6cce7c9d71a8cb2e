"""Quantiles of many numbers, such as how long calls took, and how times are shown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What many numbers are like; each figure is one of them.

    Attributes:
        count: How many there were.
        p50: Their median.
        p99: Of a hundred the largest is about as large.
        p999: And of a thousand.
        max: The largest of all.
    """

    count: int
    p50: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Return the quantiles of some numbers; a rank between two is the higher.

        Raises:
            ValueError: If there are none.
        """
        ordered = sorted(numbers)
        if not ordered:
            raise ValueError("there are no numbers to take quantiles of")

        def at(share: float) -> float:
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

        return cls(len(ordered), at(0.5), at(0.99), at(0.999), ordered[-1])


def shown(ns: float) -> str:
    """Return a time as people read it, ``1.23 ms``."""
    factor, unit = next((each for each in _UNITS if abs(ns) >= each[0]), _UNITS[-1])
    return f"{ns / factor:.3g} {unit}"


def in_words(found: Quantiles | None, show: Callable[[float], str] = shown) -> str:
    """Return median, p99 and maximum, each as ``show`` writes it."""
    if found is None:
        return "none"
    return f"p50 {show(found.p50)}, p99 {show(found.p99)}, max {show(found.max)}"
