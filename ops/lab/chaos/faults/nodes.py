"""Nodes of a Redis Cluster that die, stall, change places, or join; slots that move."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import sleep

from redis.crc import key_slot

from metrics.keyspace import PartitionNames
from ops.lab.chaos.six_nodes import NODES
from ops.local.cluster_node import ClusterNode
from ops.local.redis_cluster import RedisCluster
from ops.local.waiting import wait_until

PROMOTION_TIMEOUT_S = 30.0
AWAY_S = 1.0
"""How long a dead master is away after its replica took its place, at most."""

STEP_S = 0.05
"""How long a slot stays half moved, each time that some of its keys have been moved."""

STEPS = 20
"""In how many steps a slot moves, about."""


@dataclass(frozen=True, slots=True)
class Shards:
    """A cluster, and the slots in it that are used.

    Attributes:
        cluster: The nodes.
        partitions: Their numbers.
    """

    cluster: RedisCluster
    partitions: Sequence[int]

    def masters(self) -> list[ClusterNode]:
        """Return the masters that have a replica; only these can take what must be on one."""
        up = [node for node in self.cluster.nodes if node.is_up]
        followed = {node.members()[node.address].master_id for node in up}
        return [node for node in up if node.id in followed]

    def busy_master(self, random: Random) -> ClusterNode:
        """Return the master of some partition."""
        return self.cluster.master_of(self.stream(random))

    def stream(self, random: Random) -> str:
        """Return the name of the stream of some partition."""
        return PartitionNames(random.choice(self.partitions)).stream

    def wait_for_promotion(self, master: ClusterNode) -> None:
        """Wait until the nodes that are up know that a replica has the place of a master.

        Raises:
            TimeoutError: If no replica takes it.
        """
        wait_until(
            lambda: master.address not in self.cluster.masters(),
            PROMOTION_TIMEOUT_S,
            f"a replica takes the place of {master.address}",
        )

    def move(self, name: str, target: ClusterNode) -> str:
        """Move the slot of a key to a master, step by step; return what was done."""
        slot = key_slot(name.encode())
        source = self.cluster.master_of(slot)
        if source is target:
            return f"slot {slot} is at {target.address} already"
        step = source.ask("CLUSTER COUNTKEYSINSLOT", slot) // STEPS + 1
        for _ in self.cluster.moving_slot(slot, target, step=step):
            sleep(STEP_S)
        self.cluster.wait_until_healthy()
        return f"slot {slot} moved from {source.address} to {target.address}"


def kill_master(shards: Shards, random: Random) -> str:
    """Kill a master: its replica takes its place, and it comes back as a replica."""
    master = shards.busy_master(random)
    master.kill()
    shards.wait_for_promotion(master)
    sleep(random.uniform(0, AWAY_S))
    master.start()
    shards.cluster.wait_until_healthy()
    return f"master {master.address} killed, replaced and started again"


def pause_master(shards: Shards, random: Random) -> str:
    """Stop a master for longer than the node timeout; it wakes up, and finds itself replaced."""
    master = shards.busy_master(random)
    master.pause()
    try:
        shards.wait_for_promotion(master)
        sleep(random.uniform(0, AWAY_S))
    finally:
        master.resume()
    shards.cluster.wait_until_healthy()
    return f"master {master.address} stopped until it was replaced"


def fail_over(shards: Shards, random: Random) -> str:
    """Let a replica take the place of its master, as before maintenance."""
    master = shards.busy_master(random)
    successor = shards.cluster.failover(master)
    shards.cluster.wait_until_healthy()
    return f"{successor.address} took the place of {master.address}"


def move_slot(shards: Shards, random: Random) -> str:
    """Move a partition to another master, key by key, while it is in use."""
    stream = shards.stream(random)
    source = shards.cluster.master_of(stream)
    others = [node for node in shards.masters() if node is not source]
    return shards.move(stream, random.choice(others))


def add_node(shards: Shards, random: Random) -> str:
    """Let a master join with a replica, if none has yet, and give it a partition."""
    cluster = shards.cluster
    if len(cluster.nodes) == NODES:
        master = cluster.add_node()
        cluster.add_node().ask("CLUSTER REPLICATE", master.id)
        cluster.wait_until_healthy()
    added = [node for node in shards.masters() if node in cluster.nodes[NODES:]]
    return f"two nodes added; {shards.move(shards.stream(random), added[0])}"
