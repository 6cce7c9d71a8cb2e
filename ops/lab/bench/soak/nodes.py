"""Masters of a cluster, and what each of them has done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from metrics.keyspace import PartitionNames
from ops.lab.system import System
from ops.local.redis_cluster import SLOTS, RedisCluster, node_ports
from ops.local.redis_server import EmbeddedRedis, find_server


class Masters(RedisCluster):
    """Masters that share the slots evenly, one or two as well, without replicas.

    Replicas would do as much work again as the masters, on the same few cores.

    Args:
        count: How many masters.
        folder: Where their data lie, in a folder for each.
    """

    def __init__(self, count: int, folder: Path) -> None:
        # A node that is alone learns from nobody what its own address is.
        announce = ("--cluster-announce-ip", "127.0.0.1")
        super().__init__(find_server(), ports=node_ports(count), folder=folder, options=announce)

    def _form(self) -> None:
        self._introduce()
        count = len(self.nodes)
        for i, node in enumerate(self.nodes):
            node.ask("CLUSTER ADDSLOTS", *range(SLOTS * i // count, SLOTS * (i + 1) // count))


@dataclass(frozen=True, slots=True)
class NodeWork:
    """The work of a node, up to a moment or between two.

    Attributes:
        partitions: How many it has.
        messages: Messages that were appended to these.
        commands: Those it did, with those that scripts called.
        cpu_s: CPU seconds that it used.
        memory_bytes: What it uses.
    """

    partitions: int
    messages: int
    commands: int
    cpu_s: float
    memory_bytes: int

    @classmethod
    def of(cls, info: Mapping[str, Any], *, partitions: int, messages: int) -> Self:
        """Read what a node says of itself in all of its INFO, as redis-py takes it apart."""
        commands = sum(of["calls"] for name, of in info.items() if name.startswith("cmdstat_"))
        cpu_s = info["used_cpu_user"] + info["used_cpu_sys"]
        return cls(partitions, messages, commands, cpu_s, info["used_memory"])

    def since(self, before: "NodeWork") -> "NodeWork":
        """Return what it has done since, and how much more memory it uses."""
        return NodeWork(
            self.partitions,
            self.messages - before.messages,
            self.commands - before.commands,
            self.cpu_s - before.cpu_s,
            self.memory_bytes - before.memory_bytes,
        )


def work_of(system: System) -> list[NodeWork]:
    """Return what each node of a system has done so far.

    Raises:
        RuntimeError: If the audit does not balance.
    """
    nodes, owners = nodes_of(system), owners_of(system)
    found = []
    for node in nodes:
        own = [
            audit
            for audit, owner in zip(system.balanced_audit(), owners, strict=True)
            if owner is node
        ]
        with node.client() as client:
            info = client.info("everything")
        messages = sum(each.accepted for each in own)
        found.append(NodeWork.of(info, partitions=len(own), messages=messages))
    return found


def nodes_of(system: System) -> Sequence[EmbeddedRedis]:
    """Return the servers of a system."""
    if isinstance(system.redis, RedisCluster):
        return system.redis.nodes
    return [system.redis] if isinstance(system.redis, EmbeddedRedis) else []


def owners_of(system: System) -> list[EmbeddedRedis]:
    """Return the server of each partition, in the order of their numbers."""
    if not isinstance(system.redis, RedisCluster):
        return [*nodes_of(system)] * len(system.partitions)
    return [system.redis.master_of(PartitionNames(n).stream) for n in system.partitions]


def most_to_mean(numbers: Sequence[float]) -> float:
    """Return how uneven numbers are: the greatest by the mean, so 1 is even; 1 if all are 0."""
    return max(numbers) * len(numbers) / sum(numbers) if any(numbers) else 1.0
