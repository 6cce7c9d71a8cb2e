"""How long calls took: the figures of many, and how they are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_UNITS = ((1_000_000, "ms"), (1_000, "us"), (1, "ns"))


@dataclass(frozen=True, slots=True)
class Latencies:
    """What many calls took, in nanoseconds.

    Attributes:
        calls: How many there were.
        p50: Their median.
        p99: Of a hundred calls the slowest is about as slow.
        p999: And of a thousand.
        max: The slowest of all.
    """

    calls: int
    p50: int
    p99: int
    p999: int
    max: int

    @classmethod
    def of(cls, took_ns: Iterable[int]) -> Self:
        """Return the figures of calls that took so long each; a rank between two is the higher.

        Raises:
            ValueError: If there are none.
        """
        ordered = sorted(took_ns)
        if not ordered:
            raise ValueError("there were no calls to measure")

        def at(share: float) -> int:
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

        return cls(len(ordered), at(0.5), at(0.99), at(0.999), ordered[-1])


def shown(ns: float) -> str:
    """Return a time as people read it, ``1.23 ms``."""
    factor, unit = next((each for each in _UNITS if abs(ns) >= each[0]), _UNITS[-1])
    return f"{ns / factor:.3g} {unit}"
