"""What collectors and workers do to Redis, as one of its users."""

from collections.abc import Sequence

from metrics.backlog import Backlog
from metrics.connection import Connection
from metrics.hours import Hour
from metrics.idempotency import IdempotencyKey, Reservation
from metrics.layout import Layout
from metrics.stream import Appender
from tests.support.streams import HOUR, NEVER_LATE_S, batch
from workers.aggregator import Aggregator

PARTITIONS = 2
NOW = float(Hour.parse(HOUR).end)


def ensure_layout(connection: Connection) -> None:
    """Check the layout as a process that starts now does."""
    Layout(connection, partitions=PARTITIONS).ensure()


def collect(connection: Connection, key: str) -> Sequence[object]:
    """Append a batch of two messages and reserve as a collector does; return both answers."""
    appender = Appender(
        connection,
        ensure_layout=lambda: ensure_layout(connection),
        backlog_limit_entries=100,
        window_s=900,
    )
    idempotency_key = IdempotencyKey(key, "body_digest")
    reservation = Reservation(idempotency_key, NOW, partitions=PARTITIONS, window_s=900)
    return appender.send([batch([1.0, 2.0], idempotency_key=idempotency_key), reservation])


def fold(connection: Connection, *, consumer: str = "worker-1") -> None:
    """Run a worker's turns: find what is pending, read, claim, commit and delete idle consumers."""
    aggregator = Aggregator(
        Backlog(connection, consumer=consumer, retention_days=36500),
        ensure_layout=lambda: ensure_layout(connection),
        partitions=PARTITIONS,
        claim_s=0.0,
        lateness_s=NEVER_LATE_S,
        now=lambda: NOW,
    )
    for _ in range(4):
        aggregator.run_once()
