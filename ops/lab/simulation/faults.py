"""Which faults happen when: drawn from the seed, and of each seed another mixture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

REFUSED = "connection refused"
REQUEST_LOST = "request lost"
REPLY_LOST = "reply lost"
CUT = "cut in the middle"
LATE = "arrives late"
CRASH = "process crashes"
MEMORY_OUT = "memory is out"
EXCHANGES = (REFUSED, REQUEST_LOST, REPLY_LOST, CUT, LATE, CRASH, MEMORY_OUT)
"""What may happen to the commands that a process sends together."""

ANSWER_LOST = "answer lost"
ANSWERED_LATE = "answered before Redis answers"
GIVEN_UP = "given up"
REQUESTS = (ANSWER_LOST, ANSWERED_LATE, GIVEN_UP)
"""What may happen to a request of a client."""

OFTEN = 0.5
"""How many schedules know a kind of fault."""

KILLED = "process killed"
STOPPED = "process stopped"
PROCESSES = {KILLED: OFTEN, STOPPED: OFTEN}
"""What may happen to a process between two steps, and how many schedules know it."""

SCRIPTS_FLUSHED = "scripts flushed"
GROUP_DESTROYED = "group destroyed"
GROUP_SET_BACK = "group set back"
UNREADABLE = "entry that cannot be read"
SPOILT = "hash spoilt by hand"
FAILOVER = "failover"
PARTITION_FAILOVER = "failover of a partition"
STORAGE = {
    SCRIPTS_FLUSHED: OFTEN,
    GROUP_DESTROYED: OFTEN,
    GROUP_SET_BACK: OFTEN,
    UNREADABLE: OFTEN,
    SPOILT: OFTEN,
    FAILOVER: OFTEN,
    PARTITION_FAILOVER: OFTEN,
}
"""What may happen to any Redis between two steps, and how many schedules know it."""

RATES = (0.01, 0.03, 0.06, 0.12)
"""Faults per exchange. With more of them nothing gets far enough to go wrong."""

EVENTS_SHARE = 0.7
"""Of these rates, between any two steps."""

REQUESTS_SHARE = 3.0
"""Of these rates, for each kind of fault of a request."""


class Faults:
    """Draws the faults of one schedule. It knows only some kinds, so none hides what others show.

    Args:
        random: Draws everything.
        events: What may happen between two steps, and how many schedules know it.

    Attributes:
        seen: How many there were of each kind.
    """

    def __init__(self, random: Random, events: Mapping[str, float]) -> None:
        self._random = random
        self._rate = random.choice(RATES)
        chances = {**dict.fromkeys((*EXCHANGES, *REQUESTS), OFTEN), **events}
        self._known = {kind for kind, chance in chances.items() if random.random() < chance}
        self._events = tuple(events)
        self.seen: Counter[str] = Counter()

    def stop(self) -> None:
        """Let none happen any more."""
        self._rate = 0.0

    def may_be(self, *kinds: str) -> bool:
        """Return whether any of some kinds may happen still."""
        return self._rate > 0 and not self._known.isdisjoint(kinds)

    def of_exchange(self) -> str:
        """Return what happens to an exchange, or nothing."""
        return self._draw(EXCHANGES, self._rate)

    def of_request(self, kind: str) -> bool:
        """Return whether a fault of a kind happens to a request."""
        return self._draw((kind,), self._rate * REQUESTS_SHARE) == kind

    def of_step(self) -> str:
        """Return what happens between two steps, or nothing."""
        return self._draw(self._events, self._rate * EVENTS_SHARE)

    def _draw(self, kinds: Sequence[str], rate: float) -> str:
        if self._random.random() >= rate:
            return ""
        known = [kind for kind in kinds if kind in self._known]
        if not known:
            return ""
        kind = self._random.choice(known)
        self.seen[kind] += 1
        return kind
