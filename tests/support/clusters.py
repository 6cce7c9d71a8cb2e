"""A Redis Cluster is broken, and made good again."""

from collections.abc import Callable

from redis.crc import key_slot

from metrics.keyspace import PartitionNames, partition_of
from ops.local.cluster_node import ClusterNode
from ops.local.redis_cluster import RedisCluster
from ops.local.waiting import wait_until

PARTITIONS = 16


def heal(cluster: RedisCluster) -> None:
    """Let the nodes that stand still go on, start those that are dead, and wait for all."""
    for node in cluster.nodes:
        if node.is_up:
            continue
        if node.process is not None and node.process.poll() is None:
            node.resume()
        else:
            node.start()
    cluster.wait_until_healthy()


def slot_of(key: str) -> int:
    """Return the slot of the partition of a key."""
    return key_slot(PartitionNames(partition_of(key, PARTITIONS)).stream.encode())


def keys_by_master(cluster: RedisCluster) -> dict[ClusterNode, str]:
    """Return for each master a key whose partition it has."""
    return {cluster.master_of(slot_of(f"app-{i}")): f"app-{i}" for i in range(100)}


def lose_the_tail(cluster: RedisCluster, key: str, meanwhile: Callable[[], None]) -> None:
    """Let a replica take over that lacks what the master took ``meanwhile``."""
    master = cluster.master_of(slot_of(key))
    replica = cluster.replica_of(master)
    master.ask("CONFIG", "SET", "repl-timeout", 1)
    replica.pause()
    # What was sent to it already would still reach it when it goes on.
    wait_until(lambda: master.replication()["connected_slaves"] == 0, 30)
    meanwhile()
    master.kill()
    replica.resume()
    replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
    wait_until(lambda: replica.address in cluster.masters())
    heal(cluster)
