"""The backlog of each partition at a moment: how deep it is, and how old."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time

from metrics.connection import Connection, command, done
from metrics.keyspace import PartitionNames

LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """What the partitions had, in the order of their numbers.

    Attributes:
        entries: How many.
        oldest_s: The age of the oldest, in seconds; 0 if there is none.
    """

    entries: tuple[int, ...]
    oldest_s: tuple[float, ...]


def look_at(connection: Connection, partitions: int, now: Callable[[], float] = time) -> Look:
    """Return what the partitions have now.

    Args:
        connection: The way to Redis, which is on this machine: its clock is ours.
        partitions: How many there are.
        now: That clock, Unix seconds.
    """
    names = [PartitionNames(number).stream for number in range(partitions)]
    replies = connection.execute(
        [
            *(command("XLEN", name) for name in names),
            *(command("XRANGE", name, "-", "+", "COUNT", 1) for name in names),
        ]
    )
    lengths, firsts = map(done, replies[:partitions]), map(done, replies[partitions:])
    return Look(tuple(lengths), tuple(_age_s(first, now()) for first in firsts))


def _age_s(first: list[tuple[bytes, object]], now: float) -> float:
    if not first:
        return 0.0
    milliseconds, _, _ = first[0][0].partition(b"-")
    return max(now - int(milliseconds) / 1000, 0.0)
