"""What happened between two moments of a load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.lab.latencies import Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a load, or all of it.

    Attributes:
        seconds: How long it was.
        due: Messages that were to be sent in it.
        sent: Messages that were.
        accepted: Messages that were answered with 202.
        counted: Messages that were committed.
        waiting: Messages that were accepted and not committed, at its end.
        depths: Entries of the backlog, at each look.
        oldest_s: Age of the oldest of them, at each look.
        post: How long POSTs took; None if none was accepted.
        query: How long queries took; None if none was answered.
        shares: Process -> which part of one core it had.
        busy: Which part of all cores was used, 0 to 1, by whom ever.
        cores: How many there are.
        memory_bytes: What Redis used at the end.
        errors: Requests and queries that failed; requests were sent again.
    """

    seconds: float
    due: int
    sent: int
    accepted: int
    counted: int
    waiting: int
    depths: Sequence[int]
    oldest_s: Sequence[float]
    post: Latencies | None
    query: Latencies | None
    shares: Mapping[str, float]
    busy: float
    cores: int
    memory_bytes: int
    errors: int

    @property
    def sent_per_s(self) -> float:
        """Messages a second."""
        return self.sent / self.seconds

    def cpu_per_million(self) -> dict[str, float]:
        """Return CPU seconds per million messages that were accepted, by process."""
        million = max(self.accepted, 1) / 1e6
        return {name: share * self.seconds / million for name, share in self.shares.items()}

    @property
    def behind_s(self) -> float:
        """How long the backlog at its end would take at the rate at which it was worked off."""
        return self.waiting * self.seconds / max(self.counted, 1)


def at(share: float, numbers: Sequence[float]) -> float:
    """Return a quantile of some numbers, which is one of them; 0 of none."""
    ordered = sorted(numbers)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
