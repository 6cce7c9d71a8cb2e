"""A Redis Cluster to break: three masters with a replica each, and what is added later."""

import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ops.local.redis_cluster import RedisCluster, node_ports

NODES = 6
NODE_TIMEOUT_MS = 2000


class SixNodes:
    """A cluster that keeps all it was told before it answers.

    Args:
        server: The program.
        folder: Where its data lie.

    Attributes:
        cluster: The nodes.
        replicas: How many must have a message before its 202.
        environ: More variables for each process.
    """

    replicas = 1
    environ: Mapping[str, str] = MappingProxyType({})

    def __init__(self, server: Path, folder: Path) -> None:
        self.cluster = RedisCluster(
            server,
            ports=node_ports(NODES),
            folder=folder,
            node_timeout_ms=NODE_TIMEOUT_MS,
            options=("--appendfsync", "always"),
        )
        self.url = self.own_url = self.cluster.nodes[0].url

    def start(self) -> Self:
        """Start all nodes, and wait until they are a cluster."""
        self.cluster.start()
        return self

    def url_of(self, role: str) -> str:
        """Return the URL for a process, of whatever role."""
        return self.url

    def restart(self, how: signal.Signals) -> None:
        """End all nodes by a signal, and start them again."""
        for node in self.cluster.nodes:
            node.stop(how)
        self.cluster.start()

    def configure(self, name: str, value: str) -> None:
        """Set a parameter of every node."""
        for node in self.cluster.nodes:
            node.ask("CONFIG SET", name, value)

    def flush_scripts(self) -> None:
        """Let every node forget its scripts."""
        for node in self.cluster.nodes:
            node.ask("SCRIPT FLUSH")

    def close(self) -> None:
        """Leave nothing of it."""
        for node in self.cluster.nodes:
            node.kill()
