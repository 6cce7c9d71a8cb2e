"""Rates: what counts become between two readings."""

from collections.abc import Mapping

Counts = Mapping[str, int]
"""Hour, as in 2026-11-23T14 -> how many messages a key has in it."""


class Rates:
    """Remembers the counts of keys, and returns how much they grew.

    Args:
        hour: That of the first reading: what was in it before is no growth.
    """

    def __init__(self, hour: str) -> None:
        self._first_hour = hour
        self._counts: dict[str, dict[str, int]] = {}

    def growth(self, key: str, counts: Counts) -> int | None:
        """Return how many messages of a key are new; None if that is not known yet.

        Args:
            key: The key.
            counts: Its counts in the hours that may still grow.
        """
        before = self._counts.get(key)
        self._counts[key] = dict(counts)
        if before is None and self._first_hour in counts:
            return None
        # An hour that began meanwhile began with nothing.
        return sum(max(n - (before or {}).get(hour, 0), 0) for hour, n in counts.items())
