"""Counters and histograms that cost less than a tenth of a microsecond to count in.

prometheus_client's own take a lock and more than a microsecond each time, and would leave a file
for every process that ever lived (``PROMETHEUS_MULTIPROC_DIR``). These count in ``SharedCells``;
prometheus_client only writes them down.

Source:
    Prometheus, "Metric types"; "Histograms and summaries".
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from metrics.errors import (
    MetricsError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.shared_cells import SharedCells

LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds for how long something takes, in seconds: nothing of ours should take longer."""

SIZES = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
"""Bounds for how much there is of something."""

_UNLABELLED = ((),)

_ASKED_FOR = ("no such key", "BUSYGROUP")
"""Answers to a worker that looks whether its consumer groups are there."""


class Count:
    """A counter, with or without labels.

    Args:
        cells: Where it counts.
        name: Of its series, without ``_total``.
        text: Its help.
        labels: Names of its labels.
        label_sets: Each set of values that they may have.
        shows_zeros: Whether there is a series of what was never counted.
    """

    def __init__(
        self,
        cells: SharedCells,
        name: str,
        text: str,
        *,
        labels: Sequence[str] = (),
        label_sets: Iterable[tuple[str, ...]] = _UNLABELLED,
        shows_zeros: bool = True,
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._shows_zeros = shows_zeros
        self._places = {each: place for place, each in enumerate(label_sets)}
        self._cells = cells.allot(len(self._places))
        self._own = self._cells.own

    def add(self, number: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Count up.

        Args:
            number: By how much.
            labels: One of the sets.
        """
        self._own[self._places[labels]] += number

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, total in zip(self._places, self._cells.totals(), strict=True):
            if total or self._shows_zeros:
                family.add_metric(labels, total)
        yield family


class Histogram:
    """A histogram with fixed bounds, with or without a label.

    Args:
        cells: Where it counts.
        name: Of its series.
        text: Its help.
        bounds: Upper bounds of its buckets, each included; beyond the last is one more.
        label: Name of its label; none, if empty.
        label_values: Each value that the label may have.
    """

    def __init__(
        self,
        cells: SharedCells,
        name: str,
        text: str,
        *,
        bounds: Sequence[float] = LATENCY_S,
        label: str = "",
        label_values: Iterable[str] = ("",),
    ) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._labels = [label] if label else []
        self._sum = len(bounds) + 1
        width = self._sum + 1
        self._starts = {each: place * width for place, each in enumerate(label_values)}
        self._cells = cells.allot(len(self._starts) * width)
        self._own = self._cells.own

    def observe(self, value: float, label: str = "") -> None:
        """Count a value."""
        start = self._starts[label]
        self._own[start + bisect_left(self._bounds, value)] += 1
        self._own[start + self._sum] += value

    def observe_all(self, values: Sequence[float], label: str = "") -> None:
        """Count values."""
        own, start = self._own, self._starts[label]
        for place in map(bisect_left, repeat(self._bounds), values):
            own[start + place] += 1
        own[start + self._sum] += sum(values)

    def collect(self) -> Iterator[Metric]:
        """Yield the series; those of a label value once there is anything to show."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        totals = self._cells.totals()
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for label, start in self._starts.items():
            counts = list(accumulate(totals[start : start + self._sum]))
            if counts[-1] or not self._labels:
                buckets = list(zip(bounds, counts, strict=True))
                family.add_metric([label] * len(self._labels), buckets, totals[start + self._sum])
        yield family


class RedisErrors:
    """Counts the calls to Redis that failed, by what that means.

    Args:
        cells: Where it counts.
        name: Of its series, without ``_total``.
    """

    def __init__(self, cells: SharedCells, name: str) -> None:
        self._count = Count(
            cells,
            name,
            "Calls to Redis that failed: it is away, or holds or says what it should not.",
            labels=["kind"],
            label_sets=[("unavailable",), ("unsound",), ("unexpected",)],
        )
        self.collect = self._count.collect

    def count(self, error: MetricsError) -> None:
        """Count one."""
        match error:
            case StorageUnavailableError():
                kind = "unavailable"
            case StorageUnsoundError():
                kind = "unsound"
            case _ if any(text in str(error) for text in _ASKED_FOR):
                return
            case _:
                kind = "unexpected"
        self._count.add(1, (kind,))
