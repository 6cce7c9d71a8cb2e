"""How long the oldest entry of the backlog has waited, looked at again and again."""

from collections.abc import Callable
from time import sleep

import redis

from metrics.keyspace import PartitionNames

LOOK_EVERY_S = 0.1


def oldest_entry_s(client: redis.Redis, partitions: int) -> float:
    """Return the age of the oldest entry, by the clock of Redis; 0 if there is none."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    for number in range(partitions):
        pipeline.xrange(PartitionNames(number).stream, count=1)
    (seconds, microseconds), *firsts = pipeline.execute()
    now_ms = seconds * 1000 + microseconds / 1000
    ages_ms: list[float] = [now_ms - int(entry[0][0].split(b"-")[0]) for entry in firsts if entry]
    return max(ages_ms, default=0.0) / 1000


def oldest_while(
    is_under_way: Callable[[], bool], client: redis.Redis, partitions: int
) -> list[float]:
    """Return that age in seconds at each look, at least one."""
    found = [oldest_entry_s(client, partitions)]
    while is_under_way():
        sleep(LOOK_EVERY_S)
        found.append(oldest_entry_s(client, partitions))
    return found
