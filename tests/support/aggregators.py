"""A worker on two partitions and the time, for tests of the aggregator."""

from metrics.backlog import Backlog
from metrics.connection import Connection
from metrics.hours import Hour
from metrics.keyspace import PartitionNames
from metrics.layout import Layout
from tests.conftest import Clock
from tests.support.streams import HOUR, NEVER_LATE_S
from workers.aggregator import Aggregator

PARTITIONS = 2
STREAM = PartitionNames(0).stream
HASH = PartitionNames(0).hour(f"{HOUR}:checkout.web-1")


def aggregator_of(
    connection: Connection, clock: Clock, consumer: str = "worker-1", claim_s: float = 30.0
) -> Aggregator:
    """Return a worker on all partitions."""
    layout = Layout(connection, partitions=PARTITIONS)
    return Aggregator(
        Backlog(connection, consumer=consumer, retention_days=36500),
        ensure_layout=layout.ensure,
        partitions=PARTITIONS,
        claim_s=claim_s,
        lateness_s=NEVER_LATE_S,
        now=lambda: float(Hour.parse(HOUR).end),
        monotonic=clock,
    )


def drain(aggregator: Aggregator, rounds: int = 4) -> None:
    """Let a worker do a few rounds, the first of which look for what is pending already."""
    for _ in range(rounds):
        aggregator.run_once()
