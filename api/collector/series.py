"""What a collector counts beside requests: messages, and groups that are appended together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf
from time import monotonic

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from api.collector.key_limit import KeyLimit
from api.collector.rejection import REASONS
from metrics.errors import MetricsError
from metrics.instruments import SIZES, Count, Histogram
from metrics.shared_cells import SharedCells
from metrics.stream import Item


class MessageSeries:
    """Counts messages by what became of them; what is repeated counts again.

    Args:
        cells: Where it counts.
    """

    def __init__(self, cells: SharedCells) -> None:
        self._accepted = Count(
            cells,
            "metrics_collector_messages_accepted",
            "Messages that were answered as accepted; repetitions count again.",
        )
        self._rejected = Count(
            cells,
            "metrics_collector_messages_rejected",
            "Messages that were answered as rejected, by what is wrong with them; "
            "repetitions count again.",
            labels=["reason"],
            label_sets=[(reason,) for reason in REASONS],
        )
        self._dropped = Count(
            cells,
            "metrics_collector_messages_dropped",
            "Messages that clients reported as dropped; repetitions count again.",
        )

    def count(
        self, accepted: int, *, dropped: int = 0, rejected: Mapping[str, int] | None = None
    ) -> None:
        """Count the messages of some requests.

        Args:
            accepted: How many were accepted.
            dropped: How many their senders dropped before.
            rejected: How many were rejected, for each reason.
        """
        self._accepted.add(accepted)
        if dropped:
            self._dropped.add(dropped)
        for reason, number in (rejected or {}).items():
            self._rejected.add(number, (reason,))

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        for each in (self._accepted, self._rejected, self._dropped):
            yield from each.collect()


class AppendSeries:
    """Counts how many requests are appended together, and how long Redis takes for them.

    Args:
        cells: Where it counts.
        send: Sends items, as ``Appender.send`` does.
    """

    def __init__(
        self, cells: SharedCells, send: Callable[[Sequence[Item]], Sequence[object]]
    ) -> None:
        self._send = send
        self._seconds = Histogram(
            cells,
            "metrics_collector_append_seconds",
            "How long Redis took for the requests that were appended together.",
        )
        self._requests = Histogram(
            cells,
            "metrics_collector_append_requests",
            "How many requests were appended together.",
            bounds=SIZES,
        )

    def send(self, items: Sequence[Item]) -> Sequence[object]:
        """Send items together, and return the outcome of each."""
        began = monotonic()
        try:
            return self._send(items)
        finally:
            self._seconds.observe(monotonic() - began)
            self._requests.observe(len(items))

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        yield from self._seconds.collect()
        yield from self._requests.collect()


class KeySeries:
    """How many keys there are, read at each scrape, and how many there may be.

    Args:
        limit: Knows both.
    """

    def __init__(self, limit: KeyLimit) -> None:
        self._limit = limit

    def collect(self) -> Iterator[Metric]:
        """Yield the series; without the number of keys while Redis does not say."""
        most = self._limit.keys_max
        yield GaugeMetricFamily("metrics_keys_max", "Keys that may have messages.", value=most.keys)
        yield GaugeMetricFamily(
            "metrics_new_keys_max",
            "Keys that may be new in an hour.",
            value=most.new_per_hour or inf,
        )
        with suppress(MetricsError):
            keys, new = self._limit.count()
            yield GaugeMetricFamily("metrics_keys", "Keys that have messages.", value=keys)
            yield GaugeMetricFamily(
                "metrics_new_keys", "Keys that were new in this hour (UTC).", value=new
            )
