"""Whether Redis would lose at its next restart what it acknowledged, or has lost it already."""

from collections.abc import Iterable

from metrics.connection import Call, Connection, command
from metrics.errors import StorageUnsoundError
from metrics.keyspace import LAYOUT, PartitionNames
from metrics.node import Reply

HAS_DATA = "has_data"
"""Field of ``metrics:layout``, set once a partition has an audit: it never goes away again."""


def refuse_powerless_default_user(connection: Connection, partitions: Iterable[int]) -> None:
    """Ask every node that has partitions what its default user may do.

    A node that does not say is trusted, and so is one that cannot (before 7.0).
    A script's writes lie in the append-only file as MULTI and EXEC, and some versions from 7.0 on
    replay these with the rights of the default user: without any, they are left out.

    Raises:
        StorageUnsoundError: If a node's default user has no right to write.

    Source:
        https://github.com/redis/redis/issues/14541
    """
    streams = [PartitionNames(number).stream for number in partitions]
    calls = [
        Call(("ACL", "DRYRUN", "default", "XADD", stream, "*", "a", "b"), stream)
        for stream in streams
    ]
    for reply in connection.execute(calls):
        if isinstance(reply, bytes) and reply != b"OK":
            raise StorageUnsoundError(
                "the default user of Redis has no rights, so a restart of Redis may lose all that "
                "scripts wrote: give it rights and leave it off (ACL SETUSER default off resetpass "
                "~* &* +@all, then ACL SAVE or the same line in the file of users)"
            )


def refuse_lost_data(connection: Connection, partitions: Iterable[int]) -> None:
    """Compare what ``metrics:layout`` says with the audit of all partitions.

    Raises:
        StorageUnsoundError: If there were messages, and no partition has an audit left.
    """
    calls = [command("HLEN", PartitionNames(number).audit) for number in partitions]
    noted, *lengths = connection.execute([command("HGET", LAYOUT, HAS_DATA), *calls])
    if any(map(_is_number_above_0, lengths)):
        if noted is None:
            # A Redis that is out of memory refuses it, and has it noted later.
            connection.execute([command("HSET", LAYOUT, HAS_DATA, 1)])
    elif isinstance(noted, bytes) and all(isinstance(length, int) for length in lengths):
        raise StorageUnsoundError(
            f"Redis has lost its data: {LAYOUT} says that there were messages, and no partition "
            "has an audit. Restore a backup (docs/operations.md); or, to begin with "
            f"nothing, DEL {LAYOUT}"
        )


def _is_number_above_0(reply: Reply) -> bool:
    return isinstance(reply, int) and reply > 0
