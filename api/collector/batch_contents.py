"""What was good in a request: by key and hour while it is read, then as columns by partition."""

from collections.abc import Callable, Sequence
from itertools import chain

import msgspec

from api.collector.values import Values
from metrics.client_aggregate import ClientAggregate
from metrics.entry import Column
from metrics.hours import Hour
from metrics.keyspace import hour_of, key_hour, partition_of


class BatchContents(msgspec.Struct):
    """The good messages, loss reports and client aggregates of a request.

    A struct, since one is made for each request: each has dicts and a list of its own.

    Attributes:
        values: Key and hour -> values of its messages.
        dropped: Key and hour -> how many messages its sender dropped.
        aggregates: Each with its key and hour.
        ready: Columns that came as they are, each with its key.
    """

    values: dict[tuple[str, Hour], Values] = {}
    dropped: dict[tuple[str, Hour], int] = {}
    aggregates: list[tuple[str, Hour, ClientAggregate]] = []
    ready: Sequence[tuple[str, Column]] = ()

    def by_partition(
        self,
        partitions: int,
        work: Callable[[int], object],
        pause_if_due: Callable[[], None],
    ) -> dict[int, list[Column]]:
        """Return all of it as columns, by partition.

        Args:
            partitions: How many there are.
            work: Counts pieces of work.
            pause_if_due: Lets others go on.
        """
        found: dict[int, list[Column]] = {}
        for key, ready in self.ready:
            work(1)
            found.setdefault(partition_of(key, partitions), []).append(ready)
        for (key, hour), values in self.values.items():
            work(1)
            found.setdefault(partition_of(key, partitions), []).append(
                values.column(key_hour(key, hour), pause_if_due)
            )
        for key, hour, aggregate in self.aggregates:
            work(1 + len(aggregate.buckets))
            found.setdefault(partition_of(key, partitions), []).append(
                Column.of_aggregate(key_hour(key, hour), aggregate)
            )
        for (key, hour), dropped in self.dropped.items():
            work(1)
            found.setdefault(partition_of(key, partitions), []).append(
                Column.of_dropped(key_hour(key, hour), dropped)
            )
        return found

    def keys(
        self, is_wanted: Callable[[str], bool], work: Callable[[int], object]
    ) -> dict[str, Hour]:
        """Return those of its keys that are wanted, each with an hour of its messages."""
        found: dict[str, Hour] = {}
        for key, column in self.ready:
            work(1)
            if is_wanted(key):
                found[key] = hour_of(column.key_hour)
        aggregates = ((key, hour) for key, hour, _ in self.aggregates)
        for key, hour in chain(aggregates, self.values, self.dropped):
            work(1)
            if is_wanted(key):
                found[key] = hour
        return found
