"""How full Redis is, as Prometheus series.

By partition, as its node has it: whoever asks for series need not know where Redis is.

Source:
    https://redis.io/docs/latest/commands/info/, "Memory".
"""

import re
from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from metrics.connection import Call, Connection
from metrics.keyspace import PartitionNames

_SERIES = (
    ("used", "Memory that the node of a partition uses", re.compile(rb"^used_memory:(\d+)", re.M)),
    ("max", "Its limit, 0 if it has none", re.compile(rb"^maxmemory:(\d+)", re.M)),
)


class MemorySeries:
    """The memory of Redis, read at each scrape; nodes that do not say have none.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
    """

    def __init__(self, connection: Connection, *, partitions: int) -> None:
        self._connection = connection
        self._calls = [
            Call(("INFO", "memory"), PartitionNames(number).stream) for number in range(partitions)
        ]

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        replies = self._connection.execute(self._calls)
        for name, text, pattern in _SERIES:
            family = GaugeMetricFamily(
                f"metrics_redis_memory_{name}_bytes", f"{text}.", labels=["partition"]
            )
            for number, reply in enumerate(replies):
                found = pattern.search(reply) if isinstance(reply, bytes) else None
                if found:
                    family.add_metric([str(number)], int(found[1]))
            yield family
