"""Entries of many key-hours wait for their turn, so that small ones are committed between them.

What a commit costs goes by its key-hours. A sender of very many new keys would hold all others up
for as long as its own take; so those of others go first, and of the large ones some at a time.
"""

from collections.abc import Iterable

from metrics.entry import LARGE_COLUMNS, PendingEntry

TURN_S = 0.1
"""How long large entries are committed before the next read; one at least."""

WAITING_MAX = 16
"""With so many of a partition no more of it is read."""


class LargeEntries:
    """Those that are delivered and wait to be committed, by partition. Each partition in turn.

    Args:
        columns: An entry with more of them is large.
    """

    def __init__(self, columns: int = LARGE_COLUMNS) -> None:
        self._columns = columns
        self._waiting: dict[int, dict[bytes, PendingEntry]] = {}

    def __bool__(self) -> bool:
        """Return whether any waits."""
        return bool(self._waiting)

    def keep(self, partition: int, entries: Iterable[PendingEntry]) -> list[PendingEntry]:
        """Let the large ones of some entries wait, each once; return the others."""
        small = []
        for entry in entries:
            if len(entry.fields or ()) // 2 > self._columns:
                self._waiting.setdefault(partition, {})[entry.id] = entry
            else:
                small.append(entry)
        return small

    def is_full(self, partition: int) -> bool:
        """Return whether as many of a partition wait as may."""
        return len(self._waiting.get(partition, ())) >= WAITING_MAX

    def take(self) -> dict[int, list[PendingEntry]]:
        """Return the next one, the oldest of its partition; nothing if none waits."""
        for partition, entries in self._waiting.items():
            entry = entries.pop(next(iter(entries)))
            del self._waiting[partition]
            if entries:
                self._waiting[partition] = entries
            return {partition: [entry]}
        return {}

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget those of some partitions: they are read again."""
        for partition in partitions:
            self._waiting.pop(partition, None)
