"""The audit: what the scripts counted in each partition, and whether it balances.

Source:
    Double-entry bookkeeping: what came in is what went out and what is still there. The hash and
    the stream are in one slot, so this holds at every instant, and after a failover as well.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from metrics.connection import Connection, Script
from metrics.errors import MetricsError, StorageUnsoundError
from metrics.keyspace import PartitionNames
from metrics.message import shown
from metrics.node import Reply

_AUDIT = Script.named("audit")
_COUNTS = (
    *("appended", "committed", "dead", "accepted", "applied", "dead_messages", "foreign"),
    "deleted",
)
_COUNT = re.compile(rb"\d{1,18}")


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """The audit of one partition at one instant.

    Attributes:
        partition: 0 to the number of partitions - 1.
        appended: Entries that were ever appended to its stream.
        committed: Entries that were committed.
        dead: Entries that were moved to the dead stream.
        accepted: Messages in the entries that were appended.
        applied: Messages in the entries that were committed.
        dead_messages: Messages in the entries that are dead.
        length: Entries in the stream, its backlog.
        oldest_s: How long ago the oldest of those was appended, in seconds; 0 if there is none,
            None if this process may not know.
        foreign: Entries that no collector appended and that are in the dead stream now; they are
            in no other count.
        deleted: Messages, among those applied, of key-hours that were deleted since; one that is
            sampled as often as it stands for.
    """

    partition: int
    appended: int
    committed: int
    dead: int
    accepted: int
    applied: int
    dead_messages: int
    length: int
    foreign: int = 0
    deleted: int = 0
    oldest_s: float | None = field(default=0.0, compare=False)

    @property
    def balance(self) -> bool:
        """Whether nothing was lost and nothing counted twice.

        Entries show it always, messages once the backlog is empty.
        """
        if self.appended != self.committed + self.dead + self.length:
            return False
        return self.length > 0 or self.accepted == self.applied + self.dead_messages


def read_audits(
    connection: Connection, partitions: Iterable[int]
) -> dict[int, PartitionAudit | MetricsError]:
    """Return the audit of partitions, each of one instant, all in one round trip.

    Args:
        connection: The way to Redis.
        partitions: Their numbers.

    Returns:
        For each partition its audit, or the error that keeps them from being read: a
        ``StorageUnsoundError`` if what is there is no audit of ours.
    """
    names = [PartitionNames(number) for number in partitions]
    replies = connection.execute([_AUDIT.call([each.stream, each.audit], []) for each in names])
    return {each.number: _audit_of(each, reply) for each, reply in zip(names, replies, strict=True)}


def _audit_of(names: PartitionNames, reply: Reply | MetricsError) -> PartitionAudit | MetricsError:
    if isinstance(reply, MetricsError):
        return reply
    texts, (length, *oldest_ms) = reply[: len(_COUNTS)], reply[len(_COUNTS) :]
    counts = {}
    for name, text in zip(_COUNTS, texts, strict=True):
        if text is not None and not _COUNT.fullmatch(text):
            value = shown(text.decode(errors="replace"))
            return StorageUnsoundError(f"{names.audit} is not sound: {name} is {value}")
        counts[name] = int(text or 0)
    oldest_s = oldest_ms[0] / 1000 if oldest_ms else None
    return PartitionAudit(names.number, **counts, length=length, oldest_s=oldest_s)
