"""What all processes hold at a moment, as the system and Redis say."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from redis.exceptions import RedisError

from metrics.errors import MetricsError
from ops.lab.endurance.verdict import DATASET, MEMORY, STREAMS, Look
from ops.lab.service import Service
from ops.lab.system import System
from ops.local.cluster_node import ClusterNode


def look(system: System, nodes: Sequence[ClusterNode], probes: Path) -> list[Look]:
    """Look at all processes; one that is just being replaced is left out.

    Args:
        system: The processes.
        nodes: Of its Redis.
        probes: Where probes write.
    """
    found = [each for service in system.services for each in _of_service(service, probes)]
    for number, node in enumerate(nodes, 1):
        found += _of_node(f"redis-{number}", node)
    with suppress(MetricsError):
        entries = sum(each.length for each in system.audit())
        found.append(Look(STREAMS, 0, {"entries": entries}))
    return found


def _of_service(service: Service, probes: Path) -> Iterator[Look]:
    with suppress(psutil.NoSuchProcess, OSError, RuntimeError):
        master = psutil.Process(service.pid)
        # The worker is alone; gunicorn's processes have a master.
        suffix = "" if service.name == "worker" else " master"
        yield Look(service.label + suffix, master.pid, _held(master))
        for child in master.children():
            holds = _held(child)
            with suppress(OSError, ValueError):
                holds["greenlets"] = int((probes / str(child.pid)).read_text("utf-8"))
            yield Look(service.label, child.pid, holds)


def _of_node(name: str, node: ClusterNode) -> Iterator[Look]:
    with suppress(RedisError, OSError, psutil.NoSuchProcess):
        if node.process is not None and node.is_up:
            info = node.ask("INFO")
            ours = psutil.Process().net_connections("tcp")
            own = sum(bool(each.raddr) and each.raddr.port == node.port for each in ours)
            clients = info["connected_clients"] - own
            held = {DATASET: info["used_memory"], "clients": clients}
            yield Look(name, node.process.pid, held)


def _held(process: psutil.Process) -> dict[str, float]:
    folder = f"/proc/{process.pid}/fd"
    targets = []
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            targets.append(os.readlink(f"{folder}/{name}"))
    return {
        MEMORY: process.memory_info().rss,
        "files": len(targets),
        "sockets": sum(each.startswith("socket:") for each in targets),
        "threads": process.num_threads(),
    }
