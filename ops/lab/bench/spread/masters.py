"""A Redis Cluster of any number of masters, one or two as well, without replicas.

Replicas would do as much work again as the masters, on the same few cores.
"""

from pathlib import Path

from ops.local.redis_cluster import SLOTS, RedisCluster, node_ports
from ops.local.redis_server import find_server


class Masters(RedisCluster):
    """Masters that share the slots evenly; a context manager that starts and stops them.

    Args:
        count: How many masters.
        folder: Where their data lie, in a folder for each.
    """

    def __init__(self, count: int, folder: Path) -> None:
        # A node that is alone learns from nobody what its own address is.
        announce = ("--cluster-announce-ip", "127.0.0.1")
        super().__init__(
            find_server(),
            ports=node_ports(count),
            folder=folder,
            options=announce,
        )

    def _form(self) -> None:
        self._introduce()
        count = len(self.nodes)
        for i, node in enumerate(self.nodes):
            node.ask("CLUSTER ADDSLOTS", *range(SLOTS * i // count, SLOTS * (i + 1) // count))
