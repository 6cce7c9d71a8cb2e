"""The processes of the Procfile on a Redis Cluster of so many masters."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from metrics.audit import PartitionAudit, read_audits
from metrics.connection import Connection, done
from metrics.keyspace import PartitionNames
from metrics.settings import Settings
from ops.lab.bench.spread.masters import Masters
from ops.lab.bench.spread.node_work import NodeWork
from ops.lab.service import Service
from ops.local.cluster_node import ClusterNode
from ops.local.waiting import wait_until

READY_TIMEOUT_S = 20.0
DRAIN_TIMEOUT_S = 120.0
LOOK_TIMEOUT_S = 5.0


class System:
    """Masters, a collector and a worker, for as long as the context lasts.

    Args:
        masters: How many masters.
        folder: Where data and logs lie; it must exist.
        collectors: ``WEB_CONCURRENCY`` of the collector.

    Attributes:
        cluster: The masters.
        collector: Where messages go.
        connection: The way to Redis, past it.
        partitions: How many there are.
    """

    def __init__(self, masters: int, folder: Path, *, collectors: int) -> None:
        self.cluster = Masters(masters, folder)
        # Of the first node, as no other is asked before all are up.
        url = self.cluster.nodes[0].url
        self.collector = Service(
            "collector", url, folder / "collector.log", WEB_CONCURRENCY=str(collectors)
        )
        self._worker = Service("worker", url, folder / "worker.log")
        self.connection = Connection.open(url, timeout_s=LOOK_TIMEOUT_S, connections_max=2)
        self.partitions = Settings.from_env({"REDIS_URL": url}).partitions
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            services = [self.collector, self._worker]
            # They take as long to start as the cluster does, and wait for it.
            for service in services:
                stack.callback(service.kill)
                service.launch()
            stack.callback(self.connection.close)
            stack.enter_context(self.cluster)
            for service in services:
                service.wait_until_ready(READY_TIMEOUT_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def audit(self) -> list[PartitionAudit]:
        """Return the audit of the partitions, in the order of their numbers.

        Raises:
            MetricsError: If a node is away.
            RuntimeError: If they do not balance.
        """
        found = [
            done(each) for each in read_audits(self.connection, range(self.partitions)).values()
        ]
        if wrong := [each for each in found if not each.balance]:
            raise RuntimeError(f"the audit does not balance: {wrong}")
        return found

    def drain(self) -> None:
        """Wait until the backlog is empty.

        Raises:
            TimeoutError: If it does not become so.
        """
        wait_until(
            lambda: not any(each.length for each in self.audit()),
            DRAIN_TIMEOUT_S,
            "an empty backlog",
        )

    def owners(self) -> list[ClusterNode]:
        """Return the node of each partition, in the order of their numbers."""
        return [self.cluster.master_of(PartitionNames(n).stream) for n in range(self.partitions)]

    def work(self) -> list[NodeWork]:
        """Return what each node has done so far."""
        owners, audit = self.owners(), self.audit()
        return [
            NodeWork.of(
                node.ask("INFO", "everything"),
                partitions=owners.count(node),
                messages=sum(
                    each.accepted
                    for each, owner in zip(audit, owners, strict=True)
                    if owner is node
                ),
            )
            for node in self.cluster.nodes
        ]
