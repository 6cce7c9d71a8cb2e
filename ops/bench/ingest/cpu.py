"""CPU seconds of running processes and their children, as Linux counts them.

Source:
    proc(5), ``/proc/<pid>/stat``.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# Numbers of the fields of proc(5), less three: what stands before the state is cut off.
_PARENT, _TIMES = 1, slice(11, 15)


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
