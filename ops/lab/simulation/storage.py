"""What a simulation stores in: it does commands one by one, and can be put back."""

from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar, Protocol

from metrics.keyspace import PartitionNames
from metrics.node import Command, Reply

PutBack = Callable[[int | None], None]
"""Lets one partition, or everything, be again as it was; scripts are forgotten."""


def prefix_of(partition: int | None) -> str:
    """Return how the names of a partition begin, or all names."""
    return "" if partition is None else PartitionNames(partition).stream.removesuffix("stream")


class Storage(Protocol):
    """A Redis, as a simulation uses it.

    Attributes:
        events: What may happen to it between two steps, and how many schedules know it.
    """

    events: ClassVar[Mapping[str, float]]

    def reset(self, now: Callable[[], float], position: Callable[[], int]) -> None:
        """Empty it.

        Args:
            now: Its clock from here on, if that can be set, in Unix seconds.
            position: Where the ledger is, to say later to where it went back.
        """

    def execute(self, command: Command) -> Reply:
        """Do a command; return its reply, or the error that stands in its place."""

    def snapshot(self) -> PutBack:
        """Return what puts it back to what it holds now."""

    def happen(self, event: str, random: Random) -> int | None:
        """Let one of its own events happen, which breaks all connections.

        Returns:
            The position to which it went back, if it lost anything.
        """

    def restart(self) -> None:
        """Stop it cleanly and start it again, if it can be."""

    def close(self) -> None:
        """End it."""
