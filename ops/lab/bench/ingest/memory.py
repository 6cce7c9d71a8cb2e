"""What Redis needs for a key-hour, and for a message of the backlog."""

from collections.abc import Iterator
from time import time

from metrics.hours import Hour
from metrics.keyspace import PartitionNames
from ops.lab.bench.ingest.systems import Ours
from ops.lab.bench.ingest.workload import GOALS
from ops.lab.bench.ingest.wrk import send
from ops.lab.key_hours import aggregate_of, memory_bytes, write_key_hour

SIGMAS = (0.5, 1.0)
MESSAGES = (1_000, 100_000, 3_600_000)
KEY_HOURS = 1000 * 30 * 24
"""Of a thousand app instances in a month."""

LOAD_S = 1.0


def of_key_hours(ours: Ours) -> Iterator[str]:
    """Measure key-hours of different spreads and sizes; yield what each takes."""
    for sigma in SIGMAS:
        for messages in MESSAGES:
            key, aggregate = f"size-{messages}-{sigma}", aggregate_of(messages, sigma)
            hour = Hour.of(time())
            name = write_key_hour(ours.connection, len(ours.partitions), key, hour, aggregate)
            size = memory_bytes(ours.connection, name)
            yield (
                f"a key-hour of {messages:,} messages, lognormal with sigma {sigma}: {size:,} "
                f"bytes; 1,000 keys in 30 days: {size * KEY_HOURS / 1e9:.2f} GB"
            )


def of_messages(ours: Ours) -> Iterator[str]:
    """Measure what messages take while no worker runs; yield that, and then let one fold them."""
    ours.drain()
    ours.stop(ours.workers)
    streams = [PartitionNames(number).stream for number in ours.partitions]
    for workload in GOALS:
        accepted, used = ours.accepted(), memory_bytes(ours.connection, *streams)
        send(ours.port, workload, ours.forms[workload.shape][0], LOAD_S)
        more = memory_bytes(ours.connection, *streams) - used
        each = more / (ours.accepted() - accepted)
        yield f"a message of the backlog, sent as {workload.name}: {each:.1f} bytes"
    ours.start(ours.workers)
    ours.drain()
