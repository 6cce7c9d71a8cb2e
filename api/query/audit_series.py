"""The books of all partitions as Prometheus series.

They come from Redis and are the same whichever process tells them: aggregate them with ``max``, not
``sum``.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from api.query.audit import AllBooks
from metrics.books import Books

_BOOKS: Sequence[tuple[str, str, Callable[[Books], int]]] = (
    ("entries_appended", "Entries that were ever appended", lambda books: books.appended),
    ("entries_committed", "Entries that were committed", lambda books: books.committed),
    ("entries_dead", "Entries that could not be read", lambda books: books.dead),
    ("messages_accepted", "Messages in entries appended", lambda books: books.accepted),
    ("messages_applied", "Messages in entries committed", lambda books: books.applied),
    ("messages_dead", "Messages in entries dead", lambda books: books.dead_messages),
)


class BooksSeries:
    """The books as series, read at each scrape; partitions that cannot be read have none."""

    def __init__(self, all_books: AllBooks) -> None:
        self._all_books = all_books

    def collect(self) -> Iterator[Metric]:
        """Yield the series.

        Raises:
            LayoutError: If Redis has other partitions than these.
        """
        found = self._all_books.read()
        books = {str(n): each for n, each in found.items() if isinstance(each, Books)}
        for name, text, count in _BOOKS:
            series = CounterMetricFamily(
                f"metrics_{name}", f"{text}, as the books in Redis have it.", labels=["partition"]
            )
            for partition, each in books.items():
                series.add_metric([partition], count(each))
            yield series
        backlog = GaugeMetricFamily(
            "metrics_backlog_entries", "Entries not committed yet.", labels=["partition"]
        )
        balance = GaugeMetricFamily(
            "metrics_books_balance", "1 if the books balance, 0 if not.", labels=["partition"]
        )
        for partition, each in books.items():
            backlog.add_metric([partition], each.length)
            balance.add_metric([partition], each.balance)
        yield backlog
        yield balance
        yield GaugeMetricFamily(
            "metrics_partitions_unreadable",
            "Partitions whose books cannot be read now.",
            len(found) - len(books),
        )
