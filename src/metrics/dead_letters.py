"""The dead letters: what could not be read or counted, to be looked at, retried or dropped."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from metrics.connection import Connection, Script, command, done
from metrics.errors import MetricsError, StorageUnsoundError
from metrics.keyspace import PartitionNames
from metrics.node import Reply
from metrics.nonce import new_nonce

BEGINNING = b"-"
"""Where the first page begins."""

_NOTED = [b"id", b"reason"]
_RETRY = Script.named("retry_dead_letter")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry, or a column of one, that is kept apart.

    Attributes:
        partition: Of its stream.
        id: In the dead stream.
        entry_id: In the stream, where it was before.
        reason: Why it is here.
        fields: Those of the entry and their texts in turn.
    """

    partition: int
    id: bytes
    entry_id: bytes
    reason: bytes
    fields: Sequence[bytes]


class DeadLetters:
    """The dead streams of all partitions.

    Args:
        connection: The way to Redis.
        replicas: How many replicas must have what is changed.
        new_nonce: Returns a number that makes ids of entries unique, of ``NONCE_BITS`` bits.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        replicas: int = 0,
        new_nonce: Callable[[], int] = new_nonce,
    ) -> None:
        self._connection = connection
        self._replicas = replicas
        self._new_nonce = new_nonce

    def counts(self, partitions: Iterable[int]) -> dict[int, int | MetricsError]:
        """Return how many there are in each partition, or what keeps them from being counted."""
        numbers = list(partitions)
        calls = [command("XLEN", PartitionNames(number).dead) for number in numbers]
        return dict(zip(numbers, self._connection.execute(calls), strict=True))

    def page(self, partition: int, after: bytes, count: int) -> list[DeadLetter]:
        """Return the next dead letters of a partition, oldest first.

        Args:
            partition: Its number.
            after: The id of the last one before, or ``BEGINNING``.
            count: How many to return, if there are so many.

        Raises:
            MetricsError: If Redis does not say.
        """
        start = after if after == BEGINNING else b"(" + after
        name = PartitionNames(partition).dead
        found = self._connection.ask(command("XRANGE", name, start, "+", "COUNT", count))
        return [_dead_letter(partition, id_, fields) for id_, fields in found]

    def retry(self, partition: int, id_: bytes) -> bool:
        """Move one back to the end of its stream; return False if it is not there.

        In one atomic step, with the audit. A worker reads it again; what still cannot be counted
        becomes a dead letter again. Its messages count as late if their hour is over.

        Raises:
            StorageUnavailableError: If Redis does not answer; repeated, it does no harm.
            StorageUnsoundError: If what is there is not ours.
        """
        names = PartitionNames(partition)
        call = _RETRY.call(
            [names.stream, names.audit, names.backlog, names.dead], [id_, self._new_nonce()]
        )
        (moved,) = self._connection.execute([call], replicas=self._replicas)
        return bool(done(moved) == 1)

    def drop(self, partition: int, id_: bytes) -> bool:
        """Delete one for good; return False if it is not there. The audit goes on to count it.

        Raises:
            MetricsError: If Redis did not do it.
        """
        call = command("XDEL", PartitionNames(partition).dead, id_)
        (deleted,) = self._connection.execute([call], replicas=self._replicas)
        return bool(done(deleted) == 1)


def _dead_letter(partition: int, id_: bytes, fields: Reply) -> DeadLetter:
    if fields[:4:2] != _NOTED:
        name = PartitionNames(partition).dead
        raise StorageUnsoundError(f"{name} is not sound: {id_.decode()} has no id and reason")
    return DeadLetter(partition, id_, fields[1], fields[3], fields[4:])
