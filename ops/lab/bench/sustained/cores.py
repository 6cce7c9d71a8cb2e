"""Who uses the cores: each process of a service by itself, and the machine as a whole.

Source:
    proc(5), ``/proc/<pid>/task/<tid>/children``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ops.lab.bench.ingest.cpu import cores_busy, cpu_seconds


def each_alone(processes: Mapping[str, int]) -> dict[str, int]:
    """Return processes with each child of those that only watch over children.

    Args:
        processes: Name -> process id, as of gunicorn's master.

    Returns:
        Name -> process id; children of one that has several are numbered from 1.
    """
    found: dict[str, int] = {}
    for name, pid in processes.items():
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        if len(children) < 2:
            found[name] = pid
        else:
            found |= {f"{name} {i}": int(child) for i, child in enumerate(children, 1)}
    return found


@dataclass(frozen=True, slots=True)
class Used:
    """How long cores were used, up to a moment.

    Attributes:
        at: The moment, on the monotonic clock.
        seconds: Name of a process -> CPU seconds.
        busy_s: How long all cores together were busy, for anybody.
        all_s: How long they could have been.
    """

    at: float
    seconds: Mapping[str, float]
    busy_s: float
    all_s: float

    @classmethod
    def by(cls, processes: Mapping[str, int]) -> "Used":
        """Return what was used so far."""
        return cls(monotonic(), cpu_seconds(processes), *cores_busy())

    def shares_since(self, before: "Used") -> dict[str, float]:
        """Return by name which part of one core each process had."""
        passed_s = max(self.at - before.at, 1e-9)
        return {name: (s - before.seconds[name]) / passed_s for name, s in self.seconds.items()}

    def busy_since(self, before: "Used") -> float:
        """Return which part of all cores was used, 0 to 1, by whom ever."""
        return (self.busy_s - before.busy_s) / max(self.all_s - before.all_s, 1e-9)
