"""Nodes of a cluster whose answers a test writes down."""

from collections.abc import Sequence
from typing import Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError

from metrics.connection import Connection
from metrics.errors import StorageUnavailableError
from metrics.node import Address, Command, Node, Reply
from metrics.topology import SLOTS, Topology
from tests.conftest import Clock

ASKING = ("ASKING",)


class FakeNode(Node):
    """A node whose answers a test writes down.

    Attributes:
        cluster: All nodes of the test by address; ``sibling`` finds them there.
        sent: What was sent to it.
        answers: What it answers to the next commands, in turn; afterwards its own name.
        slots: What it answers when it is asked for the slots.
        asked: How often it was.
    """

    def __init__(self, port: int, cluster: dict[Address, "FakeNode"]) -> None:
        self.address = ("node", port)
        self.name = f"node:{port}"
        self.cluster = cluster
        self.sent: list[Command] = []
        self.answers: list[Reply] = []
        self.slots: Reply = RedisConnectionError("nobody there")
        self.asked = 0
        self.failing = False
        cluster[self.address] = self

    @property
    def is_healthy(self) -> bool:
        """Return whether the test has not let it fail."""
        return not self.failing

    def sibling(self, address: Address) -> "FakeNode":
        """Return another node of the test."""
        return self.cluster[address]

    def probe(self, *command: object) -> Reply:
        """Answer CLUSTER SLOTS."""
        assert command == ("CLUSTER", "SLOTS")
        self.asked += 1
        return RedisConnectionError("away") if self.failing else self.slots

    def pipeline(self, commands: Sequence[Command]) -> Any:  # noqa: ANN401
        """Take commands."""
        return FakeExchange(self, commands)

    def close(self) -> None:
        """Do nothing."""


class FakeExchange:
    """Answers what the test has written down."""

    def __init__(self, node: FakeNode, commands: Sequence[Command]) -> None:
        self._node = node
        self._commands = commands

    def __enter__(self) -> Self:
        self._node.sent += self._commands
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def replies(self) -> list[Reply]:
        """Answer each command."""
        if self._node.failing:
            return [StorageUnavailableError("away")] * len(self._commands)
        return [
            self._node.answers.pop(0)
            if self._node.answers and command != ASKING
            else self._node.name
            for command in self._commands
        ]


class Cluster:
    """Three masters, each with a range of slots, and a node that has none."""

    def __init__(self, clock: Clock) -> None:
        nodes: dict[Address, FakeNode] = {}
        self.first, self.second, self.third = (FakeNode(port, nodes) for port in (1, 2, 3))
        self.added = FakeNode(4, nodes)
        self.tell({self.first: (0, 99), self.second: (100, 199), self.third: (200, SLOTS - 1)})
        self.topology = Topology(self.first, monotonic=clock)
        self.connection = Connection(self.topology)

    def tell(self, ranges: dict[FakeNode, tuple[int, int]]) -> None:
        """Let every node answer with these owners."""
        slots = [
            [first, last, [b"", node.address[1], b"id"]] for node, (first, last) in ranges.items()
        ]
        for node in self.first.cluster.values():
            node.slots = slots
