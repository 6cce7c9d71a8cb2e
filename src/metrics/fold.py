"""Folding: entries of a stream become one aggregate per key-hour."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metrics.aggregate import EMPTY, Aggregate
from metrics.client_aggregate import ClientAggregate
from metrics.entry import PendingEntry, read_aggregate, read_dropped, read_key_hour, read_values
from metrics.histogram import Histogram
from metrics.hours import Hour
from metrics.short_columns import fold_short, is_short

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Folded:
    """Entries folded into aggregates.

    Attributes:
        aggregates: Key-hour, as bytes of the entries' fields, to its aggregate.
        messages: Number of messages in the entries; one that is sampled is one, and a client
            aggregate is as many as it stands for.
    """

    aggregates: Mapping[bytes, Aggregate]
    messages: int

    @property
    def buckets(self) -> int:
        """Number of buckets of all aggregates."""
        return sum(len(aggregate.histogram) for aggregate in self.aggregates.values())


@dataclass(slots=True)
class _Columns:
    """The columns of one key-hour: the texts of values, and what clients have folded themselves.

    What is late is kept apart from what is on time.
    """

    on_time: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    aggregates: list[ClientAggregate] = field(default_factory=list)
    late_aggregates: list[ClientAggregate] = field(default_factory=list)

    def add(self, text: bytes, *, is_late: bool) -> None:
        """Add a column; see ``read_aggregate`` for errors."""
        aggregate = read_aggregate(text)
        if aggregate is None:
            (self.late if is_late else self.on_time).append(text)
        else:
            (self.late_aggregates if is_late else self.aggregates).append(aggregate)

    def fold(self) -> tuple[Aggregate, int]:
        """Return the aggregate, and the number of messages; see ``read_values`` for errors."""
        aggregates = [*self.late_aggregates, *self.aggregates]
        folded = _merged(aggregates) if aggregates else EMPTY
        late = sum(each.count for each in self.late_aggregates)
        messages = folded.count
        if self.late or self.on_time:
            values, weights = read_values([*self.late, *self.on_time])
            folded = folded.merged_with(Aggregate.of(values, weights))
            messages += len(values)
            late_values = sum(text.count(b",") + 1 for text in self.late)
            late += sum(weights[:late_values]) if weights else late_values
        return replace(folded, late=late), messages


def _merged(aggregates: Sequence[ClientAggregate]) -> Aggregate:
    """Return what client aggregates add up to; at least one."""
    buckets: Counter[int] = Counter()
    for each in aggregates:
        buckets.update(each.buckets)
    return Aggregate(
        count=sum(each.count for each in aggregates),
        sum=min(sum(each.sum for each in aggregates), _LARGEST),
        min=min(each.min for each in aggregates),
        max=max(each.max for each in aggregates),
        histogram=Histogram.of_counts(buckets),
    )


def fold(entries: Iterable[PendingEntry], *, lateness_s: float) -> Folded:
    """Fold entries into one aggregate per key-hour.

    Args:
        entries: The entries; one that was deleted has nothing to fold.
        lateness_s: How long after the end of its hour a message may be appended and not be late.

    Raises:
        EntryUnreadableError: If any of them cannot be read.
    """
    found = _KeyHours()
    for entry in entries:
        fields: Sequence[bytes] = entry.fields or ()
        # Hours are written so that they sort, and a key-hour begins with its hour.
        first_on_time = str(Hour.of(entry.appended_s - lateness_s)).encode()
        for key_hour, text in zip(fields[::2], fields[1::2], strict=True):
            found.add(key_hour, text, is_late=key_hour < first_on_time)
    return found.fold()


class _KeyHours:
    """What entries hold, by key-hour."""

    def __init__(self) -> None:
        self._columns: dict[bytes, _Columns] = {}
        self._dropped: Counter[bytes] = Counter()
        self._short: dict[bytes, bytes] = {}

    def add(self, key_hour: bytes, text: bytes, *, is_late: bool) -> None:
        """Add a column; see ``fold`` for errors."""
        if not is_late and is_short(text) and key_hour not in self._columns:
            before = self._short.pop(key_hour, None)
            text = text if before is None else b"%b,%b" % (before, text)
            if is_short(text):
                self._short[key_hour] = text
                return
        lost = read_dropped(text)
        if lost:
            self._dropped[key_hour] += lost
        else:
            self._columns.setdefault(key_hour, _Columns()).add(text, is_late=is_late)

    def fold(self) -> Folded:
        """Return the aggregates; see ``fold`` for errors."""
        for key_hour in self._short.keys() & self._columns.keys():
            self._columns[key_hour].add(self._short.pop(key_hour), is_late=False)
        for key_hour in (*self._short, *self._columns, *self._dropped):
            read_key_hour(key_hour)
        short = fold_short(list(self._short.values()))
        aggregates = dict(zip(self._short, short, strict=True))
        messages = sum(each.count for each in short)
        for key_hour, columns in self._columns.items():
            aggregates[key_hour], count = columns.fold()
            messages += count
        for key_hour, lost in self._dropped.items():
            aggregates[key_hour] = replace(aggregates.get(key_hour, EMPTY), dropped=lost)
        return Folded(aggregates, messages)
