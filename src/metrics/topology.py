"""Which node has which slot: one Redis has them all, the masters of a Redis Cluster share them.

Nobody has to say which of the two it is: the first node that answers ``CLUSTER SLOTS`` does. The
map is asked for again when a node fails, when one says that a slot has moved, and when a slot has
no node; between two questions some time must pass.

Source:
    Redis Cluster specification, "Client and server roles in the Redis Cluster protocol".
"""

import time
from collections.abc import Callable
from threading import Lock

from redis.crc import key_slot
from redis.exceptions import ResponseError

from metrics.errors import StorageUnavailableError
from metrics.node import Address, Node, Reply

SLOTS = 16384
REFRESH_PAUSE_S = 0.25
"""The least time between two questions; a failover takes seconds."""


class Topology:
    """The nodes, and which of them has which slot. Safe for threads and greenlets.

    It knows one node at first, and asks it for the others.

    Args:
        seed: The node that ``REDIS_URL`` names: any of a cluster, or the only one.
        monotonic: Clock of the questions, in seconds.
    """

    def __init__(self, seed: Node, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seed = seed
        self._monotonic = monotonic
        self._nodes = {seed.address: seed}
        self._owners: list[Node | None] | None = None
        self._masters = [seed]
        self._is_stale = True
        self._refresh_due = 0.0
        self._refreshing = Lock()

    def refresh_if_stale(self) -> None:
        """Refresh the slot map if it is stale. One caller does; others use what they have."""
        if not (self._is_stale or (self._owners and not self._is_healthy())):
            return
        if self._monotonic() >= self._refresh_due and self._refreshing.acquire(blocking=False):
            try:
                self._refresh()
                self._refresh_due = self._monotonic() + REFRESH_PAUSE_S
            finally:
                self._refreshing.release()

    def node_of(self, key: str | None) -> Node:
        """Return the node that has a key; one that is well if there is no key.

        Raises:
            StorageUnavailableError: If no node has it.
        """
        if self._owners is None:
            return self._seed
        if key is None:
            return self._healthy_first()[0]
        slot = key_slot(key.encode())
        node = self._owners[slot]
        if node is None:
            self._is_stale = True
            raise StorageUnavailableError(f"no node of the Redis Cluster has slot {slot}")
        return node

    def update_slot(self, slot: int, address: Address, named_by: Node) -> Node:
        """Note what a node said of a slot that it has no more; return the node that has it."""
        self._is_stale = True
        node = self.node_at(address, named_by)
        if self._owners is not None:
            self._owners[slot] = node
            self._masters = list({*self._masters, node})
        return node

    def node_at(self, address: Address, named_by: Node) -> Node:
        """Return the node at an address; without a host it is on that of the node that named it."""
        host, port = address
        whole = (host or named_by.address[0], port)
        if whole not in self._nodes:
            self._nodes[whole] = self._seed.sibling(whole)
        return self._nodes[whole]

    def invalidate(self) -> None:
        """Say that the slot map is stale, after CLUSTERDOWN."""
        self._is_stale = True

    def close(self) -> None:
        """Close the connections to all nodes."""
        for node in self._nodes.values():
            node.close()

    def _is_healthy(self) -> bool:
        return all(node.is_healthy for node in self._masters)

    def _healthy_first(self) -> list[Node]:
        """Return the nodes in the order in which to ask them: masters first, if they are well."""
        masters = self._masters
        return sorted(
            self._nodes.values(), key=lambda node: (not node.is_healthy, node not in masters)
        )

    def _refresh(self) -> None:
        for node in self._healthy_first():
            reply = node.probe("CLUSTER", "SLOTS")
            if isinstance(reply, ResponseError) and self._owners is None:
                # "This instance has cluster support disabled", or a proxy that knows no clusters.
                self._is_stale = False
                return
            if isinstance(reply, list) and reply:
                self._load_slots(reply, node)
                return

    def _load_slots(self, ranges: list[Reply], named_by: Node) -> None:
        owners: list[Node | None] = [None] * SLOTS
        named = {self._seed.address}
        for first, last, *nodes in ranges:
            for host, port, *_ in nodes:
                named.add(self.node_at(((host or b"").decode(), port), named_by).address)
            host, port, *_ = nodes[0]
            master = self.node_at(((host or b"").decode(), port), named_by)
            owners[first : last + 1] = [master] * (last + 1 - first)
        self._owners = owners
        self._masters = list({node for node in owners if node})
        self._is_stale = None in owners
        for address in self._nodes.keys() - named:
            self._nodes.pop(address).close()
