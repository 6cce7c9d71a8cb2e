"""CPU seconds of running processes and their children, and of all cores, as Linux counts them.

Source:
    proc(5), ``/proc/<pid>/stat`` and ``/proc/stat``.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# Numbers of the fields of proc(5), less three: what stands before the state is cut off.
_PARENT, _TIMES = 1, slice(11, 15)

_IDLE, _ALL = slice(3, 5), slice(0, 8)
"""Times of ``/proc/stat``: idle and waiting for a disk; user to steal, which includes guests."""


def cores_busy() -> tuple[float, float]:
    """Return how long all cores together were busy, for anybody, and how long there were any."""
    first = Path("/proc/stat").read_text("ascii").partition("\n")[0]
    times = [int(field) / _TICKS_PER_S for field in first.split()[1:]]
    return sum(times[_ALL]) - sum(times[_IDLE]), sum(times[_ALL])


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Return how long processes have run, their children together with them.

    Args:
        roots: Name -> process id.
    """
    stats = _stats()
    parents = {pid: int(fields[_PARENT]) for pid, fields in stats.items()}
    seconds = dict.fromkeys(roots, 0.0)
    names = {pid: name for name, pid in roots.items()}
    for pid, fields in stats.items():
        name = _owner(pid, names, parents)
        if name is not None:
            seconds[name] += sum(map(int, fields[_TIMES])) / _TICKS_PER_S
    return seconds


def _owner(pid: int, names: Mapping[int, str], parents: Mapping[int, int]) -> str | None:
    while pid in parents:
        if pid in names:
            return names[pid]
        pid = parents[pid]
    return None


def _stats() -> dict[int, list[str]]:
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "stat").read_text("utf-8", "replace")
        except OSError:  # it has just ended
            continue
        found[int(process.name)] = text.rpartition(")")[2].split()
    return found
