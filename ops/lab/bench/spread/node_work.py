"""What one node has done, by its own INFO and by the audit of its partitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class NodeWork:
    """Its work, up to a moment or between two.

    Attributes:
        partitions: How many it has.
        commands: Those it did, with those that scripts called.
        cpu_s: CPU seconds that it used.
        memory_bytes: What it uses.
        messages: Messages that were appended to its partitions.
    """

    partitions: int
    commands: int
    cpu_s: float
    memory_bytes: int
    messages: int

    @classmethod
    def of(cls, info: Mapping[str, Any], *, partitions: int, messages: int) -> Self:
        """Read what a node says of itself.

        Args:
            info: All of its INFO, as redis-py takes it apart.
            partitions: How many it has.
            messages: Messages in the audit of these.
        """
        return cls(
            partitions=partitions,
            commands=sum(
                told["calls"] for name, told in info.items() if name.startswith("cmdstat_")
            ),
            cpu_s=info["used_cpu_user"] + info["used_cpu_sys"],
            memory_bytes=info["used_memory"],
            messages=messages,
        )

    def since(self, before: "NodeWork") -> "NodeWork":
        """Return what it has done since, and how much more memory it uses."""
        return NodeWork(
            self.partitions,
            self.commands - before.commands,
            self.cpu_s - before.cpu_s,
            self.memory_bytes - before.memory_bytes,
            self.messages - before.messages,
        )


def shares(numbers: Sequence[float]) -> list[float]:
    """Return which part of their sum each number is; nothing of nothing."""
    total = sum(numbers)
    return [number / total if total else 0.0 for number in numbers]


def most_to_mean(numbers: Sequence[float]) -> float:
    """Return how uneven numbers are: the greatest by the mean, so 1 is even; 1 if all are 0."""
    return max(shares(numbers)) * len(numbers) if any(numbers) else 1.0
