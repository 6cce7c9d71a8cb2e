"""How fast a process lets new keys in: as workers keep up, by the age of the oldest entry."""

from collections.abc import Callable
from time import monotonic

FIRST_PER_SECOND = 5_000
"""How many new keys a process lets in each second to begin with."""

MOST_PER_SECOND = 20_000
"""And at most, where workers keep up: about what one commits on a core of its own."""

LEAST_PER_SECOND = 200
"""And at least, however far workers are behind: a new instance is not kept out while they are."""

SAVED_UP_MAX = 10_000
"""How many a process lets in at once that had none for a while: a fleet may start."""

BEHIND_S = 0.5
"""How old the oldest entry of the backlog may be until the pace halves."""

HALVED_S = 0.5
"""How long it then stays as it is: what was let in before is still to come."""

LOOK_S = 0.1
"""How often the age is looked at, at most, and only when a round of new keys is under way."""

_DOUBLINGS_MAX = 10


class Pace:
    """A token bucket that fills half as fast once workers are behind, and doubles each second.

    Args:
        first: How many new keys a second to begin with.
        most: How many at most.
        now: The clock, in seconds.

    Source:
        Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance",
        1989: what many adapt by themselves, halving where there is too much.
    """

    def __init__(
        self,
        first: float = FIRST_PER_SECOND,
        most: float = MOST_PER_SECOND,
        *,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._now = now
        self._most = most
        self._base = min(first, most)
        self._since = self._filled = now()
        self._halved_until = self._look_due = self._since
        self._saved_up = self._saved_up_max(self._base)

    @property
    def per_second(self) -> float:
        """How many new keys a second may come now."""
        doublings = min(self._now() - self._since, _DOUBLINGS_MAX)
        return min(self._most, self._base * 2**doublings)

    def room(self) -> int:
        """Return how many new keys may be let in now."""
        now, per_second = self._now(), self.per_second
        saved_up = self._saved_up + (now - self._filled) * per_second
        self._saved_up = min(saved_up, self._saved_up_max(per_second))
        self._filled = now
        return max(0, int(self._saved_up))

    def took(self, count: int) -> None:
        """Count new keys that were let in."""
        self._saved_up -= count

    def take_look(self) -> bool:
        """Return whether the age should be looked at now."""
        now = self._now()
        if now < self._look_due:
            return False
        self._look_due = now + LOOK_S
        return True

    def saw(self, age_s: float) -> None:
        """Note how old the oldest entry of the backlog is."""
        now = self._now()
        if age_s > BEHIND_S and now >= self._halved_until:
            self._base = max(min(LEAST_PER_SECOND, self._most), self.per_second / 2)
            self._since, self._halved_until = now, now + HALVED_S
            # What was saved up was meant for workers that keep up.
            self._saved_up = min(self._saved_up, 0.0)
            self._filled = now

    def _saved_up_max(self, per_second: float) -> float:
        return min(SAVED_UP_MAX, max(1.0, 2 * per_second))
