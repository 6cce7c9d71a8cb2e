"""A Redis Cluster of our own on 127.0.0.1: masters with a replica each."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Self

from redis.crc import key_slot
from redis.exceptions import RedisError

from metrics.errors import StorageUnavailableError
from ops.local import slot_move
from ops.local.cluster_node import BUS_OFFSET, ClusterNode
from ops.local.password import Password
from ops.local.ports import free_port
from ops.local.waiting import wait_until

SLOTS = 16384
NODE_TIMEOUT_MS = 5000
HEALTHY_TIMEOUT_S = 30.0

FAILOVER_S = 6.0
"""Redis gives a failover that was asked for up after 5 s; then it must be asked for again."""


class RedisCluster:
    """Masters and as many replicas, each a process; a context manager that starts and stops them.

    Args:
        server: The program.
        ports: One for each node, an even number; each node also uses the port
            ``BUS_OFFSET`` above.
        folder: Where their data lie, in a folder for each.
        node_timeout_ms: How long a master may be silent before its replica takes over.
        options: More arguments for each node.
        password: That of all nodes; None if they have none.

    Attributes:
        nodes: All nodes. At the first start the first half are the masters, and the second half
            their replicas in the same order.
    """

    def __init__(
        self,
        server: Path,
        *,
        ports: Sequence[int],
        folder: Path,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
        options: Sequence[str] = (),
        password: Password | None = None,
    ) -> None:
        self._server = server
        self._folder = folder
        self._node_timeout_ms = node_timeout_ms
        self._options = options
        self._password = password
        self.nodes: list[ClusterNode] = []
        for port in ports:
            self._add(port)

    @property
    def url(self) -> str:
        """The URL of a node that is up."""
        return self._up()[0].url

    def start(self) -> Self:
        """Start all nodes, make them a cluster if they are none yet, and wait until all is well.

        What they held is there again, on other ports too.

        Raises:
            MetricsError: If one does not start, or they do not come together.
        """
        try:
            for node in self.nodes:
                node.start()
            self._form()
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all nodes; they write everything to disk first."""
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def masters(self) -> dict[str, tuple[range, ...]]:
        """Return the slots of each master by address, as a node that is up sees them.

        A master that is away keeps its slots until its replica has them; one that was added has
        none.
        """
        return {
            address: member.slots
            for address, member in self._up()[0].members().items()
            if member.is_master and (member.slots or not member.is_failed)
        }

    def master_of(self, slot: int | str) -> ClusterNode:
        """Return the master that has a slot, or a key."""
        number = slot if isinstance(slot, int) else key_slot(slot.encode())
        for address, slots in self.masters().items():
            if any(number in run for run in slots):
                return self.node_at(address)
        raise StorageUnavailableError(f"no node of the Redis Cluster has slot {number}")

    def replica_of(self, master: ClusterNode) -> ClusterNode:
        """Return a replica of a master that is up."""
        for node in self._up():
            if node.members()[node.address].master_id == master.id:
                return node
        raise StorageUnavailableError(f"{master.address} has no replica that is up")

    def node_at(self, address: str) -> ClusterNode:
        """Return the node at an address."""
        return next(node for node in self.nodes if node.address == address)

    def failover(self, master: ClusterNode) -> ClusterNode:
        """Let the replica of a master take its place; return it when all nodes know."""
        heir = self.replica_of(master)
        asked = -math.inf

        def what_is_wrong() -> str:
            nonlocal asked
            if self._all_know(heir):
                return ""
            if monotonic() - asked > FAILOVER_S and not heir.members()[heir.address].is_master:
                asked = monotonic()
                heir.ask("CLUSTER FAILOVER")
            return f"{heir.address} is not the master yet"

        _wait(what_is_wrong)
        return heir

    def add_node(self) -> ClusterNode:
        """Start one more master, which has no slots yet, and let it join."""
        (port,) = node_ports(1)
        node = self._add(port)
        node.start()
        self._introduce()
        self.wait_until_healthy()
        return node

    def moving_slot(self, slot: int, target: ClusterNode, *, step: int = 10) -> Iterator[int]:
        """Move a slot to another master step by step, as ``slot_move.move`` does."""
        masters = [self.node_at(address) for address in self.masters()]
        return slot_move.move(
            slot, self.master_of(slot), target, masters, step, password=self._password
        )

    def move_slot(self, slot: int, target: ClusterNode) -> None:
        """Move a slot, and wait until all nodes know."""
        for _ in self.moving_slot(slot, target):
            pass
        self.wait_until_healthy()

    def wait_until_healthy(self, timeout_s: float = HEALTHY_TIMEOUT_S) -> None:
        """Wait until the nodes that are up serve all slots and each replica has what is written.

        Raises:
            StorageUnavailableError: If that takes longer, with what was wrong at last.
        """
        _wait(self._what_is_wrong, timeout_s)

    def _add(self, port: int) -> ClusterNode:
        folder = self._folder / f"node-{len(self.nodes) + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        node = ClusterNode(
            self._server,
            port=port,
            folder=folder,
            node_timeout_ms=self._node_timeout_ms,
            options=self._options,
            password=self._password,
        )
        self.nodes.append(node)
        return node

    def _up(self) -> list[ClusterNode]:
        """Return the nodes that are up, at least one."""
        up = [node for node in self.nodes if node.is_up]
        if not up:
            raise StorageUnavailableError("no node of the Redis Cluster is up")
        return up

    def _all_know(self, master: ClusterNode) -> bool:
        return all(master.address in node.owners() for node in self._up())

    def _form(self) -> None:
        """Make the nodes a cluster; what an earlier start has done of it is not done again.

        The slots come last, so a cluster that has them all is whole. (redis-cli --cluster create
        is not faster: a new master serves nothing in its first two seconds.)
        """
        half = len(self.nodes) // 2
        is_formed = any(_slots_in(node.owners()) == SLOTS for node in self.nodes)
        self._introduce()
        if is_formed:
            return
        for master, replica in zip(self.nodes[:half], self.nodes[half:], strict=True):
            replica.ask("CLUSTER REPLICATE", master.id)
        for i, master in enumerate(self.nodes[:half]):
            if master.address not in master.owners():
                slots = range(SLOTS * i // half, SLOTS * (i + 1) // half)
                master.ask("CLUSTER ADDSLOTS", *slots)

    def _introduce(self) -> None:
        """Let all nodes that are up know each other, at the ports where they are now."""
        up = self._up()
        for i, node in enumerate(up):
            for other in up[i + 1 :]:
                if other.address not in node.members():
                    node.ask("CLUSTER MEET", "127.0.0.1", other.port)
        _wait(
            lambda: "".join(
                f"{node.address} does not know all others"
                for node in up
                if not {other.address for other in up} <= node.members().keys()
            )
        )

    def _what_is_wrong(self) -> str:
        up = {node.address: node for node in self._up()}
        owners = next(iter(up.values())).owners()
        if away := owners.keys() - up.keys():
            return f"{', '.join(away)}: has slots, and is away"
        if _slots_in(owners) != SLOTS:
            return f"{SLOTS - _slots_in(owners)} slots have no node"
        masters = {at for at, node in up.items() if node.members()[at].is_master}
        wrong = (_wrong_with(node, up, owners, masters) for node in up.values())
        return next(filter(None, wrong), "")


def _wrong_with(
    node: ClusterNode,
    up: dict[str, ClusterNode],
    owners: dict[str, tuple[range, ...]],
    masters: set[str],
) -> str:
    members = node.members()
    if node.ask("CLUSTER INFO")["cluster_state"] != "ok":
        return f"{node.address}: the cluster is down"
    if failed := [address for address in up if members[address].is_failed]:
        return f"{node.address}: {', '.join(failed)} does not answer"
    if node.owners() != owners:
        return f"{node.address}: does not agree with the others on who has which slot"
    if {address for address in up if members[address].is_master} != masters:
        return f"{node.address}: does not agree with the others on who is a master"
    if members[node.address].is_master:
        return ""
    its_masters = [at for at in up if members[at].id == members[node.address].master_id]
    if not its_masters or not _is_online(node, up[its_masters[0]]):
        return f"{node.address}: is not in step with its master"
    return ""


def node_ports(count: int) -> list[int]:
    """Return free ports for nodes, which have a second one each: that of the bus."""
    return [free_port(BUS_OFFSET) for _ in range(count)]


def _slots_in(owners: dict[str, tuple[range, ...]]) -> int:
    return sum(len(run) for runs in owners.values() for run in runs)


def _is_online(replica: ClusterNode, master: ClusterNode) -> bool:
    """Return whether a replica gets what its master writes, as both see it."""
    known = [value for value in master.replication().values() if isinstance(value, dict)]
    return replica.replication()["master_link_status"] == "up" and any(
        told["port"] == replica.port and told["state"] == "online" for told in known
    )


def _wait(check: Callable[[], str], timeout_s: float = HEALTHY_TIMEOUT_S) -> None:
    """Wait until a check finds nothing wrong."""
    wrong = ""

    def is_well() -> bool:
        nonlocal wrong
        wrong = _complaint(check)
        return not wrong

    try:
        wait_until(is_well, timeout_s)
    except TimeoutError as error:
        raise StorageUnavailableError(f"after {timeout_s:.0f} s: {wrong}") from error


def _complaint(check: Callable[[], str]) -> str:
    try:
        return check()
    except RedisError as error:
        return f"{type(error).__name__}: {error}"
