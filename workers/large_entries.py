"""Entries of many key-hours wait for their turn, so that small ones are committed between them.

What a commit costs goes by its key-hours. A sender of very many new keys would hold all others up
for as long as its own take; so those of others go first, and of the large ones some at a time.
"""

from collections.abc import Collection, Iterable

from metrics.entry import LARGE_COLUMNS, PendingEntry

TURN_S = 0.1
"""How long large entries are committed before the next read; one at least."""

RUN_COLUMNS_MAX = 1000
"""How many columns of a partition are committed together, as of small entries: those of the same
key-hours are added up first."""

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
        self._partitions_at_once = 1

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

    def waiting_in(self, partition: int) -> Collection[bytes]:
        """Return the ids of those of a partition that wait."""
        return self._waiting.get(partition, {}).keys()

    def take(self) -> dict[int, list[PendingEntry]]:
        """Return those that are next: of some partitions a run each, that which waits longest."""
        found: dict[int, list[PendingEntry]] = {}
        for partition in list(self._waiting)[: self._partitions_at_once]:
            entries = self._waiting.pop(partition)
            found[partition] = _run_of(entries)
            if entries:
                self._waiting[partition] = entries
        return found

    def took(self, seconds: float) -> None:
        """Learn from how long the last ones took of how many partitions to give the next."""
        if seconds < TURN_S / 2:
            self._partitions_at_once = min(2 * self._partitions_at_once, len(self._waiting) + 1)
        elif seconds > TURN_S:
            self._partitions_at_once = max(1, self._partitions_at_once // 2)

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget those of some partitions: they are read again."""
        for partition in partitions:
            self._waiting.pop(partition, None)


def _run_of(entries: dict[bytes, PendingEntry]) -> list[PendingEntry]:
    """Take out as many as may be committed together, one at least."""
    run: list[PendingEntry] = []
    columns = 0
    while entries:
        first = next(iter(entries))
        columns += len(entries[first].fields or ()) // 2
        if run and columns > RUN_COLUMNS_MAX:
            break
        run.append(entries.pop(first))
    return run
