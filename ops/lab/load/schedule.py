"""When batches are due: at a constant rate, whatever became of those before."""

from math import inf, isinf

LATE_MAX_S = 1.0
"""What could not be sent for so long is left out, as by clients whose buffers are full; else all
that comes later would be measured by how long this one has waited."""


class Schedule:
    """Batches that become due one after the other.

    Args:
        per_s: How many become due; infinite, if there is always one.
        begun: When the first one is due, in seconds of any clock.
        seconds: For how long.

    Attributes:
        taken: How many were taken so far.
    """

    def __init__(self, per_s: float, begun: float, seconds: float) -> None:
        self._per_s = per_s
        self._begun = begun
        self._until = begun + seconds
        self._end = inf if isinf(per_s) else round(seconds * per_s)
        self._next = 0
        self.taken = 0

    def take(self, now: float) -> float | None:
        """Return when the next batch was due, or None if none is; it is taken by that."""
        if now >= self._until:
            return None
        if isinf(self._per_s):
            self.taken += 1
            return now
        self._next = max(self._next, int((now - LATE_MAX_S - self._begun) * self._per_s))
        due = self.next_due
        if due > now or self._next >= self._end:
            return None
        self._next += 1
        self.taken += 1
        return due

    @property
    def next_due(self) -> float:
        """When the next batch is due."""
        return self._begun + self._next / self._per_s

    def due(self, now: float) -> int:
        """Return how many were due so far; as many as were taken, if there is always one."""
        if isinf(self._per_s):
            return self.taken
        return min(int((now - self._begun) * self._per_s) + 1, int(self._end))
