"""The keys that Redis knows, and the newest hour of each."""

from functools import lru_cache

from metrics.connection import Connection, command, done
from metrics.errors import StorageUnsoundError
from metrics.hours import Hour
from metrics.keyspace import Partition
from metrics.node import Reply

KEYS_PER_REPLY = 10_000
"""About how many keys of a partition Redis looks through before it does the work of others."""


class KnownKeys:
    """Reads which keys have messages, in all partitions at once."""

    def __init__(self, connection: Connection, *, partitions: int) -> None:
        self._connection = connection
        self._partitions = range(partitions)

    def read(self, prefix: str) -> dict[str, Hour]:
        """Return the newest hour of each key that begins with ``prefix``.

        A key that is known from the beginning of the read to its end is in it.

        Args:
            prefix: Beginning of a key, or empty for all keys. It holds no character that stands
                for others in a pattern of Redis.

        Raises:
            StorageUnavailableError: If any partition is away.
            StorageUnsoundError: If what is there are no keys of ours.

        Source:
            Redis commands, SCAN, "Scan guarantees".
        """
        found: dict[str, Hour] = {}
        cursors = dict.fromkeys((Partition(number) for number in self._partitions), b"0")
        while cursors:
            replies = self._connection.execute(
                [
                    command("ZSCAN", each.keys, at, "MATCH", f"{prefix}*", "COUNT", KEYS_PER_REPLY)
                    for each, at in cursors.items()
                ]
            )
            for partition, reply in zip(list(cursors), replies, strict=True):
                cursors[partition], items = done(reply)
                found |= _newest_hours(partition, items)
            cursors = {each: at for each, at in cursors.items() if at != b"0"}
        return found


def _newest_hours(partition: Partition, items: Reply) -> dict[str, Hour]:
    try:
        return {
            str(key, "ascii"): _hour(digits)
            for key, digits in zip(items[::2], items[1::2], strict=True)
        }
    except ValueError as error:
        raise StorageUnsoundError(f"{partition.keys} is not sound: {error}") from error


# Many keys have the same newest hour.
@lru_cache(maxsize=1024)
def _hour(digits: bytes) -> Hour:
    return Hour.of_digits(int(digits))
