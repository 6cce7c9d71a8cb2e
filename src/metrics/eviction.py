"""Refuse a Redis that may evict keys: evicted entries would be lost without a trace.

Source:
    https://redis.io/docs/latest/develop/reference/eviction/
"""

import re
from collections.abc import Iterable

from metrics.connection import Call, Connection
from metrics.errors import StorageUnsoundError
from metrics.keyspace import PartitionNames

_LIMIT = re.compile(rb"^maxmemory:(\d+)", re.MULTILINE)
_POLICY = re.compile(rb"^maxmemory_policy:([\w-]+)", re.MULTILINE)


def refuse_eviction(connection: Connection, partitions: Iterable[int]) -> None:
    """Look at the settings of every node that has partitions; one that does not say is trusted.

    Raises:
        StorageUnsoundError: If one of them may evict keys.
    """
    streams = [PartitionNames(number).stream for number in partitions]
    for reply in connection.execute([Call(("INFO", "memory"), stream) for stream in streams]):
        if not isinstance(reply, bytes):
            continue
        limit, policy = _LIMIT.search(reply), _POLICY.search(reply)
        if limit and policy and int(limit[1]) and policy[1] != b"noeviction":
            raise StorageUnsoundError(
                f"Redis evicts keys when its memory is full (maxmemory-policy {policy[1].decode()}"
                "), so messages and hours would vanish: set it to noeviction"
            )
