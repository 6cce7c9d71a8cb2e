"""How much of some hours is in the backlog: by this an answer is complete, or not yet.

The hash ``metrics:{7}:backlog`` has for each hour how many entries hold messages of it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from metrics.connection import Call, Connection, Script, done
from metrics.errors import MetricsError, StorageUnsoundError
from metrics.hours import Hour
from metrics.keyspace import PartitionNames
from metrics.message import shown
from metrics.node import Reply

_BACKLOG = Script.named("backlog")
# As append.lua reads it.
_COUNT = re.compile(rb"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class BacklogCounts:
    """What a partition had not committed yet, at one instant.

    Attributes:
        time_s: When that was, by the clock of Redis, in Unix seconds.
        oldest_s: When its oldest entry was appended; ``time_s`` if there is none.
        entries: For each hour that was asked for, in how many entries it has messages.
    """

    time_s: float
    oldest_s: float
    entries: Sequence[int]

    @classmethod
    def whole(cls, counts: Sequence[Self]) -> Self:
        """Return what partitions together had not committed yet; at least one."""
        return cls(
            min(each.time_s for each in counts),
            min(each.oldest_s for each in counts),
            [sum(of_hour) for of_hour in zip(*(each.entries for each in counts), strict=True)],
        )


def backlog_calls(partitions: Iterable[int], hours: Iterable[Hour]) -> list[Call]:
    """Return the calls that ask partitions for the counts of some hours, one for each."""
    names = list(map(str, hours))
    return [
        _BACKLOG.call([each.stream, each.backlog], names)
        for each in map(PartitionNames, partitions)
    ]


def backlog_counts(
    partitions: Iterable[int], replies: Sequence[Reply | MetricsError]
) -> list[BacklogCounts]:
    """Return what partitions replied to these calls.

    Raises:
        StorageUnsoundError: If a count is none, or its hash or stream is none.
        MetricsError: Whatever other error a partition had.
    """
    return [_counts(number, reply) for number, reply in zip(partitions, replies, strict=True)]


def read_backlog_counts(
    connection: Connection, partitions: Sequence[int], hours: Iterable[Hour]
) -> list[BacklogCounts]:
    """Ask partitions for the counts of some hours, in one round trip; errors as above."""
    return backlog_counts(partitions, connection.execute(backlog_calls(partitions, hours)))


def _counts(partition: int, reply: Reply | MetricsError) -> BacklogCounts:
    time_ms, oldest_ms, *texts = done(reply)
    if oldest_ms < 0:
        # Without an entry in the stream there is nothing to wait for, whatever the hash says.
        return BacklogCounts(time_ms / 1000, time_ms / 1000, [0] * len(texts))
    for text in texts:
        if text is not None and not _COUNT.fullmatch(text):
            name, value = PartitionNames(partition).backlog, shown(text.decode(errors="replace"))
            raise StorageUnsoundError(f"{name} is not sound: an hour has {value} entries")
    return BacklogCounts(time_ms / 1000, oldest_ms / 1000, [int(text or 0) for text in texts])
