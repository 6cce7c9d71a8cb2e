"""Folding: entries of a stream become one aggregate per key-hour."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metrics.aggregate import EMPTY, Aggregate
from metrics.entry import PendingEntry, read_dropped, read_key_hour, read_values
from metrics.hours import Hour


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


@dataclass(slots=True)
class _Texts:
    """The texts of the columns of one key-hour: of messages that are on time, and of late ones."""

    on_time: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)

    def fold(self) -> tuple[Aggregate, int]:
        """Return the aggregate, and the number of messages; see ``read_values`` for errors."""
        values, weights = read_values([*self.late, *self.on_time])
        aggregate = Aggregate.of(values, weights)
        if self.late:
            late = sum(text.count(b",") + 1 for text in self.late)
            aggregate = replace(aggregate, late=sum(weights[:late]) if weights else late)
        return aggregate, len(values)


def fold(entries: Iterable[PendingEntry], *, lateness_s: float) -> Folded:
    """Fold entries into one aggregate per key-hour.

    Args:
        entries: The entries; one that was deleted has nothing to fold.
        lateness_s: How long after the end of its hour a message may be appended and not be late.

    Raises:
        EntryUnreadableError: If any of them cannot be read.
    """
    columns: dict[bytes, _Texts] = {}
    dropped: Counter[bytes] = Counter()
    for entry in entries:
        fields: Sequence[bytes] = entry.fields or ()
        # Hours are written so that they sort, and a key-hour begins with its hour.
        first_on_time = str(Hour.of(entry.appended_s - lateness_s)).encode()
        for key_hour, text in zip(fields[::2], fields[1::2], strict=True):
            lost = read_dropped(text)
            if lost:
                dropped[key_hour] += lost
                continue
            texts = columns.setdefault(key_hour, _Texts())
            (texts.late if key_hour < first_on_time else texts.on_time).append(text)
    aggregates: dict[bytes, Aggregate] = {}
    messages = 0
    for key_hour, texts in columns.items():
        read_key_hour(key_hour)
        aggregates[key_hour], count = texts.fold()
        messages += count
    for key_hour, lost in dropped.items():
        read_key_hour(key_hour)
        aggregates[key_hour] = replace(aggregates.get(key_hour, EMPTY), dropped=lost)
    return Folded(aggregates, messages)
