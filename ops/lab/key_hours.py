"""Key-hours as a worker would have left them, written into Redis at once."""

from functools import cache

import numpy as np

from metrics.aggregate import BUCKET_PREFIX, Aggregate
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from ops.lab.load.messages import response_times

SAMPLE = 1_000_000
"""Values that are really drawn; in a larger hour each of them counts several times."""


@cache
def aggregate_of(messages: int, sigma: float) -> Aggregate:
    """Return so many messages, lognormal with a sigma; each of a sample counts equally often."""
    drawn = min(messages, SAMPLE)
    values = response_times(drawn, 1, sigma)
    return Aggregate.of(values, np.full(drawn, messages // drawn).tolist())


def write_key_hour(
    connection: Connection, partitions: int, key: str, hour: Hour, aggregate: Aggregate
) -> str:
    """Write a key-hour, and return the name of its hash."""
    partition = PartitionNames(partition_of(key, partitions))
    name = partition.hour(key_hour(key, hour))
    fields: dict[str, float] = {
        "count": aggregate.count,
        "sum": aggregate.sum,
        "min": aggregate.min,
        "max": aggregate.max,
        **{f"{BUCKET_PREFIX}{bucket}": count for bucket, count in aggregate.histogram},
    }
    texts = [text for field, value in fields.items() for text in (field, repr(value))]
    connection.ask(command("HSET", name, *texts))
    connection.ask(command("ZADD", partition.keys, "GT", hour.digits, key))
    return name


def memory_bytes(connection: Connection, *names: str) -> int:
    """Return what some names take, 0 for one that is not there."""
    return sum(
        connection.ask(command("MEMORY", "USAGE", name, "SAMPLES", 0, key=name)) or 0
        for name in names
    )
