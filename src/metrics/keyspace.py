"""Every name in Redis, and which partition a key is in. Nobody else writes a name.

The hash tag ``{7}`` stands before anything a sender chose, so all names of a partition are in one
slot whatever the key holds.

Source:
    Redis Cluster specification, "Hash tags".
"""

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from metrics.hours import Hour

LAYOUT = "metrics:layout"
GROUP = "aggregators"


def partition_of(text: str, partitions: int) -> int:
    """Return the partition, 0 to ``partitions - 1``, of a key or an idempotency key."""
    return crc32(text.encode()) % partitions


@dataclass(frozen=True, slots=True)
class PartitionNames:
    """The names of one partition.

    Attributes:
        number: 0 to the number of partitions - 1.
    """

    number: int

    @property
    def stream(self) -> str:
        """Stream: the entries that are appended and not yet committed."""
        return f"metrics:{{{self.number}}}:stream"

    @property
    def keys(self) -> str:
        """Sorted set: key -> its newest hour, as in 2026112314."""
        return f"metrics:{{{self.number}}}:keys"

    @property
    def dead(self) -> str:
        """Stream: entries that could not be read, with the reason."""
        return f"metrics:{{{self.number}}}:dead"

    @property
    def audit(self) -> str:
        """Hash: the audit, counted by the scripts themselves."""
        return f"metrics:{{{self.number}}}:audit"

    @property
    def backlog(self) -> str:
        """Hash: hour -> entries in the stream that hold messages of it."""
        return f"metrics:{{{self.number}}}:backlog"

    def hour(self, key_hour: str) -> str:
        """Hash: the aggregate of a key-hour, which is written ``2026-11-23T14:checkout.web-1``."""
        return f"metrics:{{{self.number}}}:hour:{key_hour}"

    def seen(self, idempotency_key: str) -> str:
        """Text: the digest of a batch whose messages of this partition count already."""
        return f"metrics:{{{self.number}}}:seen:{idempotency_key}"

    def batch(self, idempotency_key: str) -> str:
        """Text: digest and arrival of the first batch under an idempotency key that lives here."""
        return f"metrics:{{{self.number}}}:batch:{idempotency_key}"


def key_hour(key: str, hour: Hour) -> str:
    """Return the text that names a key-hour in entries and hashes."""
    return f"{hour}:{key}"


def hour_of(key_hour: str) -> Hour:
    """Return the hour of a key-hour."""
    return _hour_of(key_hour.partition(":")[0])


@lru_cache(maxsize=1024)
def _hour_of(text: str) -> Hour:
    """Return the hour of a text; remembered, as many keys have messages in the same hour."""
    return Hour.parse(text)


def key_of(key_hour: str) -> str:
    """Return the key of a key-hour."""
    return key_hour.partition(":")[2]
