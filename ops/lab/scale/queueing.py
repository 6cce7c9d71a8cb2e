"""A fluid model of the pipeline in time: who waits where, when rates and capacities change.

What has come to a queue and what has gone from it are two curves over time. From top to bottom
between them is what waits, from left to right how old the oldest of it is: queues are first in,
first out. Single messages would give the same curves, as each second has thousands.

Source:
    G. F. Newell, "Applications of Queueing Theory", 1982, on deterministic fluid approximations.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

STEP_S = 0.05
"""Shorter than a worker lingers between two reads."""

Curve = npt.NDArray[np.float64]
"""A number for each step."""

_LEAST = 1e-6
"""Messages; fewer are what rounding leaves."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The messages of some partitions; how many since the beginning, after each step.

    Attributes:
        recorded: By apps.
        dropped: By clients whose buffers were full.
        appended: To streams.
        committed: In their key-hours.
    """

    recorded: Curve
    dropped: Curve
    appended: Curve
    committed: Curve

    @classmethod
    def of(cls, arrivals: Curve, collect: Curve, fold: Curve, *, room: float) -> Self:
        """Return what becomes of messages, if so many can be worked off; each in messages/s.

        Args:
            arrivals: What apps record.
            collect: What collectors can append.
            fold: What workers can commit.
            room: Messages that all clients together can keep waiting.
        """
        recorded = np.cumsum(arrivals * STEP_S)
        dropped = np.zeros(len(arrivals))
        waiting = lost = 0.0
        for step, more in enumerate((arrivals - collect) * STEP_S):
            lost += max(0.0, waiting + more - room)
            waiting = min(max(0.0, waiting + more), room)
            dropped[step] = lost
        appended = _gone(recorded - dropped, collect)
        # What is appended in a step is read in the next.
        readable = np.concatenate([[0.0], appended[:-1]])
        return cls(recorded, dropped, appended, _gone(readable, fold))

    @property
    def waiting(self) -> Curve:
        """Messages in the clients' buffers."""
        return self.recorded - self.dropped - self.appended

    @property
    def waiting_age_s(self) -> Curve:
        """Age of the oldest message that waits in a client."""
        return _age_s(self.recorded - self.dropped, self.appended)

    @property
    def backlog(self) -> Curve:
        """Messages appended and not committed."""
        return self.appended - self.committed

    @property
    def backlog_age_s(self) -> Curve:
        """Age of the oldest message of the backlog, since it was appended."""
        return _age_s(self.appended, self.committed)


def _gone(come: Curve, capacity: Curve) -> Curve:
    """Return what has gone of what has come, if so many messages a second can."""
    could = np.cumsum(capacity * STEP_S)
    gone: Curve = could + np.minimum(0.0, np.minimum.accumulate(come - could))
    return gone


def _age_s(come: Curve, gone: Curve) -> Curve:
    """Return how old the first is that has come and not gone, 0 where there is none."""
    came = np.searchsorted(come, gone + _LEAST, side="right")
    age_s: Curve = np.maximum(0, np.arange(1, len(come) + 1) - came) * STEP_S
    return age_s
