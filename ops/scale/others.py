"""Cores that somebody else had, while a run of ours wanted them.

Source:
    proc(5), ``/proc/stat``.
"""

import os
from pathlib import Path
from time import monotonic

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IDLE = slice(3, 5)
_ALL = slice(0, 8)
"""User time to steal time; what guests had is in user time already."""


def busy_s() -> float:
    """Return the seconds that all cores together were not idle, by this system or its host."""
    first = Path("/proc/stat").read_text("ascii").splitlines()[0]
    ticks = [int(field) for field in first.split()[1:]]
    return (sum(ticks[_ALL]) - sum(ticks[_IDLE])) / _TICKS_PER_S


class Watch:
    """Looks at the machine from its making on."""

    def __init__(self) -> None:
        self._begun = monotonic()
        self._busy_s = busy_s()

    def others_cores(self, own_s: float) -> float:
        """Return how many cores others had until now, on average.

        Args:
            own_s: CPU seconds of our own processes since then.
        """
        return max(0.0, (busy_s() - self._busy_s - own_s) / (monotonic() - self._begun))
