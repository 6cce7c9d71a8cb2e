"""Folding: entries of a stream become one aggregate per key-hour."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from metrics.aggregate import EMPTY, Aggregate
from metrics.entry import read_dropped, read_key_hour, read_values


@dataclass(frozen=True, slots=True)
class Folded:
    """Entries folded into aggregates.

    Attributes:
        aggregates: Key-hour, as bytes of the entries' fields, to its aggregate.
        messages: Number of messages in the entries; one that is sampled is one.
    """

    aggregates: Mapping[bytes, Aggregate]
    messages: int

    @property
    def buckets(self) -> int:
        """Number of buckets of all aggregates."""
        return sum(len(aggregate.histogram) for aggregate in self.aggregates.values())


def fold(entries: Iterable[Sequence[bytes]]) -> Folded:
    """Fold entries, each a flat sequence of fields and values, into one aggregate per key-hour.

    Raises:
        EntryUnreadableError: If any of them cannot be read.
    """
    columns: dict[bytes, list[bytes]] = {}
    dropped: Counter[bytes] = Counter()
    for fields in entries:
        for key_hour, text in zip(fields[::2], fields[1::2], strict=True):
            lost = read_dropped(text)
            if lost:
                dropped[key_hour] += lost
            else:
                columns.setdefault(key_hour, []).append(text)
    aggregates: dict[bytes, Aggregate] = {}
    messages = 0
    for key_hour, texts in columns.items():
        read_key_hour(key_hour)
        values, weights = read_values(texts)
        aggregates[key_hour] = Aggregate.of(values, weights)
        messages += len(values)
    for key_hour, lost in dropped.items():
        read_key_hour(key_hour)
        aggregates[key_hour] = replace(aggregates.get(key_hour, EMPTY), dropped=lost)
    return Folded(aggregates, messages)
