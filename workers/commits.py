"""Entries of a partition are cut into commits, none of which holds Redis up for long."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from metrics.backlog import Commit
from metrics.entry import PendingEntry
from metrics.errors import EntryUnreadableError
from metrics.fold import fold

COLUMNS_MAX = 1000
BUCKETS_MAX = 50_000
"""What one commit may have of each: bounds its size, and how long it holds Redis up."""


def commits_of(
    partition: int,
    entries: Iterable[PendingEntry],
    *,
    lateness_s: float,
    on_unreadable: Callable[[int, PendingEntry, str], object],
) -> Iterator[Commit]:
    """Yield the commits that entries of a partition fold into.

    Args:
        partition: Its number.
        entries: Those that were delivered.
        lateness_s: How long after the end of its hour a message is not late yet.
        on_unreadable: Called with the partition, each entry that cannot be read, and why.
    """

    def folded(some: Sequence[PendingEntry]) -> Iterator[Commit]:
        try:
            whole = fold(some, lateness_s=lateness_s)
        except EntryUnreadableError as error:
            if len(some) == 1:
                on_unreadable(partition, some[0], str(error))
                return
            for each in some:
                yield from folded([each])
            return
        if len(some) > 1 and whole.buckets > BUCKETS_MAX:
            half = len(some) // 2
            yield from folded(some[:half])
            yield from folded(some[half:])
        else:
            yield Commit(partition, some, whole)

    for chunk in _chunks(entries):
        yield from folded(chunk)


def _chunks(entries: Iterable[PendingEntry]) -> Iterator[list[PendingEntry]]:
    """Yield the entries in runs, each small enough for one commit."""
    chunk: list[PendingEntry] = []
    columns = 0
    for entry in entries:
        more = len(entry.fields or ()) // 2
        if chunk and columns + more > COLUMNS_MAX:
            yield chunk
            chunk, columns = [], 0
        chunk.append(entry)
        columns += more
    if chunk:
        yield chunk
