"""The audit of all partitions as Prometheus series.

They come from Redis and are the same whichever process shows them: aggregate them with ``max``, not
``sum``.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from api.query.audit import AuditReader
from metrics.audit import PartitionAudit

_COUNTERS: Sequence[tuple[str, str, Callable[[PartitionAudit], int]]] = (
    ("entries_appended", "Entries that were ever appended", lambda audit: audit.appended),
    ("entries_committed", "Entries that were committed", lambda audit: audit.committed),
    ("entries_dead", "Entries that could not be read", lambda audit: audit.dead),
    ("messages_accepted", "Messages in entries appended", lambda audit: audit.accepted),
    ("messages_applied", "Messages in entries committed", lambda audit: audit.applied),
    ("messages_dead", "Messages in entries dead", lambda audit: audit.dead_messages),
    ("messages_deleted", "Messages in key-hours deleted", lambda audit: audit.deleted),
)


class AuditSeries:
    """The audit as series, read at each scrape; partitions that cannot be read have none."""

    def __init__(self, audit_reader: AuditReader) -> None:
        self._audit_reader = audit_reader

    def collect(self) -> Iterator[Metric]:
        """Yield the series.

        Raises:
            LayoutError: If Redis has other partitions than these.
        """
        found = self._audit_reader.read()
        audit = {str(n): each for n, each in found.items() if isinstance(each, PartitionAudit)}
        for name, text, count in _COUNTERS:
            series = CounterMetricFamily(
                f"metrics_{name}", f"{text}, as the audit in Redis have it.", labels=["partition"]
            )
            for partition, each in audit.items():
                series.add_metric([partition], count(each))
            yield series
        backlog = GaugeMetricFamily(
            "metrics_backlog_entries", "Entries not committed yet.", labels=["partition"]
        )
        oldest = GaugeMetricFamily(
            "metrics_backlog_oldest_seconds",
            "How long ago the oldest entry was appended that is not committed yet; 0 if none.",
            labels=["partition"],
        )
        balance = GaugeMetricFamily(
            "metrics_books_balance", "1 if the audit balances, 0 if not.", labels=["partition"]
        )
        for partition, each in audit.items():
            backlog.add_metric([partition], each.length)
            balance.add_metric([partition], each.balance)
            if each.oldest_s is not None:
                oldest.add_metric([partition], each.oldest_s)
        yield backlog
        yield oldest
        yield balance
        yield GaugeMetricFamily(
            "metrics_partitions_unreadable",
            "Partitions whose audit cannot be read now.",
            len(found) - len(audit),
        )
