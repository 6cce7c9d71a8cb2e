"""Keys whose hashes somebody spoils by hand: one in each partition, and none in the ledger.

Clients send messages of them beside their own, so both come to lie in one entry. Only what is
spoilt may be missing then.
"""

from collections.abc import Iterable

from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.node import Command


def keys_of(partitions: int) -> list[str]:
    """Return a key in each partition, in their order."""
    names = [f"spoilt.web-{i}" for i in range(64)]
    return [
        next(name for name in names if partition_of(name, partitions) == partition)
        for partition in range(partitions)
    ]


def is_spoilt(name: str) -> bool:
    """Return whether a key, or the hash of a key-hour, may be spoilt."""
    return name.rpartition(":")[2].startswith("spoilt.")


def commands(key: str, partition: int, hours: Iterable[Hour]) -> list[Command]:
    """Return what spoils the hashes of a key: they have a count that is none."""
    return [
        ("HSET", PartitionNames(partition).hour(key_hour(key, hour)), "count", "x")
        for hour in hours
    ]
