"""What processes used of the cores, and what anybody did."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import clock_gettime, monotonic

import psutil

# The clock of the CPU time of a process, all of its threads together, is made from its id.
_CLOCK_OF_PROCESS = 2


@dataclass(frozen=True, slots=True)
class CpuUse:
    """How long cores were used, up to a moment.

    Attributes:
        at: The moment, on the monotonic clock.
        seconds: Name of a process -> CPU seconds, its children's included.
        busy_s: How long all cores together were busy, for anybody.
        all_s: How long they could have been.
    """

    at: float
    seconds: Mapping[str, float]
    busy_s: float
    all_s: float

    @classmethod
    def of(cls, processes: Mapping[str, int]) -> "CpuUse":
        """Return what was used so far, by processes with these ids and by all."""
        times = psutil.cpu_times()
        # Guests are in the times of users, too.
        all_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        used = {name: _seconds_of(psutil.Process(pid)) for name, pid in processes.items()}
        return cls(monotonic(), used, all_s - idle_s, all_s)

    def seconds_since(self, before: "CpuUse") -> dict[str, float]:
        """Return by name how long each process used a core."""
        return {name: s - before.seconds.get(name, 0.0) for name, s in self.seconds.items()}

    def busy_since(self, before: "CpuUse") -> float:
        """Return which part of all cores was used, 0 to 1, by whomever."""
        return (self.busy_s - before.busy_s) / max(self.all_s - before.all_s, 1e-9)

    def others_since(self, before: "CpuUse", own_s: float) -> float:
        """Return how many cores others had on average, if our own processes used ``own_s``."""
        return max(0.0, (self.busy_s - before.busy_s - own_s) / (self.at - before.at))


def each_alone(processes: Mapping[str, int]) -> dict[str, int]:
    """Return processes with each child of those that only watch over children.

    Args:
        processes: Name -> process id, as of gunicorn's master.

    Returns:
        Name -> process id; children of one that has several are numbered from 1.
    """
    found: dict[str, int] = {}
    for name, pid in processes.items():
        children = psutil.Process(pid).children()
        if len(children) < 2:
            found[name] = pid
        else:
            found |= {f"{name} {i}": child.pid for i, child in enumerate(children, 1)}
    return found


def exact_seconds(pid: int) -> float:
    """Return the CPU seconds of one process so far, to the nanosecond; without its children.

    Source:
        clock_getcpuclockid(3), and how Linux makes such ids (``include/linux/posix-timers.h``).
    """
    return clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)


def _seconds_of(process: psutil.Process) -> float:
    found = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:  # it has just ended
            continue
        # Of Linux: those of children that have ended, as well.
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        found += times.user + times.system + ended
    return found
