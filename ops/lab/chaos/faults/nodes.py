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


@dataclass(frozen=True, slots=True)
class KillMaster:
    """kill -9 of a master: its replica takes its place, and it comes back as a replica."""

    shards: Shards

    def inject(self, random: Random) -> str:
        """Kill one, wait for the promotion, and start it again."""
        master = self.shards.busy_master(random)
        master.kill()
        self.shards.wait_for_promotion(master)
        sleep(random.uniform(0, AWAY_S))
        master.start()
        self.shards.cluster.wait_until_healthy()
        return f"master {master.address} killed, replaced and started again"


@dataclass(frozen=True, slots=True)
class PauseMaster:
    """A master that stalls for longer than the node timeout, and finds itself replaced."""

    shards: Shards

    def inject(self, random: Random) -> str:
        """Stop one until its replica has its place, and let it go on."""
        master = self.shards.busy_master(random)
        master.pause()
        try:
            self.shards.wait_for_promotion(master)
            sleep(random.uniform(0, AWAY_S))
        finally:
            master.resume()
        self.shards.cluster.wait_until_healthy()
        return f"master {master.address} stopped until it was replaced"


@dataclass(frozen=True, slots=True)
class FailOver:
    """CLUSTER FAILOVER, as before maintenance."""

    shards: Shards

    def inject(self, random: Random) -> str:
        """Let a replica take the place of its master."""
        master = self.shards.busy_master(random)
        heir = self.shards.cluster.failover(master)
        self.shards.cluster.wait_until_healthy()
        return f"{heir.address} took the place of {master.address}"


@dataclass(frozen=True, slots=True)
class MoveSlot:
    """A partition that moves to another master, key by key, while it is in use."""

    shards: Shards

    def inject(self, random: Random) -> str:
        """Move the slot of a partition to a master."""
        stream = self.shards.stream(random)
        source = self.shards.cluster.master_of(stream)
        others = [node for node in self.shards.masters() if node is not source]
        return self.shards.move(stream, random.choice(others))


@dataclass(frozen=True, slots=True)
class AddNode:
    """A master that joins with a replica, and gets a partition."""

    shards: Shards

    def inject(self, random: Random) -> str:
        """Add both, if they were not added yet, and move a slot to the one that is master."""
        cluster = self.shards.cluster
        if len(cluster.nodes) == NODES:
            master = cluster.add_node()
            cluster.add_node().ask("CLUSTER REPLICATE", master.id)
            cluster.wait_until_healthy()
        added = [node for node in self.shards.masters() if node in cluster.nodes[NODES:]]
        return f"two nodes added; {self.shards.move(self.shards.stream(random), added[0])}"
