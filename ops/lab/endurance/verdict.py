"""Whether what processes hold grows: pure arithmetic on looks.

A generation is judged by the second half of its life, since a process fills its caches first. The
slope is that of Theil and Sen, which a few looks out of line do not move; what it makes of that
half is compared with the scatter about it. A leak has a constant slope and little scatter, so the
longer it is watched the smaller is the one that is found.

Source:
    P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", 1968.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

MEMORY = "memory"
"""Resident bytes of a process of ours."""

DATASET = "dataset"
"""``used_memory`` of a node of Redis: what it has given back may stay resident."""

COUNTS = ("files", "sockets", "threads", "greenlets", "clients", "entries")
"""Open descriptors, and which of these are sockets; connections to Redis; the backlog."""

LOOKS_MIN = 18
"""Generations with fewer looks are too young to be judged."""

SIGMAS = 4.0
"""Growth within so many standard deviations of the scatter is none."""

SHARES = {MEMORY: 0.02, DATASET: 0.1}
"""Nor is growth by such a part: a cache that fills, a heap's next arena; in Redis idempotency keys,
as many as there were requests in the last minutes."""

COUNT_MORE = 3.0
COUNT_SHARE = 0.1
"""Nor are so many descriptors, threads, greenlets or clients, or such a part of them."""

STREAMS = "streams"
"""What all streams hold together goes as a process: its measure is ``entries``."""

_MAD_TO_SIGMA = 1.4826

Holds = Mapping[str, float]
"""Name of a measure -> how much a process has of it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one process held at a moment.

    Attributes:
        process: Its name; the same for the one that takes its place.
        pid: Its id: that of its generation.
        holds: What.
    """

    process: str
    pid: int
    holds: Holds


@dataclass(frozen=True, slots=True)
class Growth:
    """What a measure did in the second half of a generation: growth by more than a bound is a leak.

    Attributes:
        by: How much the slope makes of that half.
        bound: What is no growth.
    """

    by: float
    bound: float

    @classmethod
    def of(cls, measure: str, values: Sequence[float]) -> "Growth":
        """Return that of values at equal distances of time."""
        half = np.asarray(values[len(values) // 2 :], dtype=float)
        first, second = np.triu_indices(len(half), 1)
        slope = float(np.median((half[second] - half[first]) / (second - first)))
        rest = half - slope * np.arange(len(half))
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(rest - np.median(rest))))
        bound = max(SIGMAS * sigma, _slack(measure, float(np.median(half))))
        return cls(slope * (len(half) - 1), bound)


def _slack(measure: str, value: float) -> float:
    return SHARES[measure] * value if measure in SHARES else max(COUNT_MORE, COUNT_SHARE * value)


@dataclass(slots=True)
class History:
    """All looks so far, by process and generation."""

    generations: dict[str, dict[int, list[Holds]]] = field(default_factory=dict)

    def add(self, looks: Iterable[Look]) -> None:
        """Add looks of one moment."""
        for each in looks:
            of_process = self.generations.setdefault(each.process, {})
            of_process.setdefault(each.pid, []).append(each.holds)

    def growths(self, process: str, measure: str) -> Iterator[tuple[int, Growth]]:
        """Yield number and growth of each generation that is old enough to be judged."""
        for number, looks in enumerate(self.generations[process].values(), 1):
            values = [each[measure] for each in looks if measure in each]
            if len(values) >= LOOKS_MIN:
                yield number, Growth.of(measure, values)

    def complaints(self) -> Iterator[str]:
        """Yield what has grown."""
        for process in self.generations:
            for measure in (*SHARES, *COUNTS):
                for number, growth in self.growths(process, measure):
                    if growth.by > growth.bound:
                        yield (
                            f"{process}, generation {number}: {measure} grew by {growth.by:,.0f} "
                            f"in the second half of its life, more than {growth.bound:,.0f}"
                        )

    def most(self, process: str, measure: str) -> float:
        """Return the most that a process ever had of something."""
        generations = self.generations[process].values()
        return max(each.get(measure, 0.0) for looks in generations for each in looks)


def at_rest(looks: Iterable[Look]) -> dict[str, Holds]:
    """Return what each process holds; all clients of Redis together, as failovers move them."""
    found = list(looks)
    clients = sum(each.holds.get("clients", 0.0) for each in found)
    own = {each.process: each.holds for each in found if "clients" not in each.holds}
    return {**own, "redis": {"clients": clients}}


def left_behind(before: Mapping[str, Holds], after: Mapping[str, Holds]) -> list[str]:
    """Return what processes hold at rest that those before them did not."""
    return [
        f"{process}: {after[process][measure]:.0f} {measure} at rest, {then:.0f} before the load"
        if measure in after.get(process, {})
        else f"{process}: nothing is known of its {measure} at rest"
        for process, holds in before.items()
        for measure, then in holds.items()
        if measure in COUNTS
        and not after.get(process, {}).get(measure, np.inf) <= then + _slack(measure, then)
    ]


def table(history: History, before: Mapping[str, Holds], after: Mapping[str, Holds]) -> str:
    """Return a row for each process, in Markdown; counts as before, after, and at most."""
    lines = [
        "| process | generations, judged | MB | MB more, bound | files | greenlets | clients |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for process, generations in history.generations.items():
        memory = DATASET if history.most(process, DATASET) else MEMORY
        growths = [growth for _, growth in history.growths(process, memory)]
        worst = max(growths, key=lambda each: each.by / each.bound, default=None)
        cells = [
            f"{len(generations)}, {len(growths)}",
            f"{history.most(process, memory) / 1e6:.1f}",
            f"{worst.by / 1e6:.2f}, {worst.bound / 1e6:.2f}" if worst else "",
        ]
        for measure in ("files", "greenlets", "clients"):
            ends = [
                f"{each[process][measure]:.0f}"
                for each in (before, after)
                if measure in each.get(process, {})
            ]
            most = history.most(process, measure)
            cells.append(", ".join([*ends, f"{most:.0f}"]) if most else "")
        if process != STREAMS:
            lines.append(f"| {process} | {' | '.join(cells)} |")
    return "\n".join(lines)
