"""Idempotency-Keys: what makes a repetition recognisable, and the first use of a key in Redis.

Source:
    IETF, HTTPAPI working group, "The Idempotency-Key HTTP Header Field".
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

from metrics.connection import Call, command, done
from metrics.errors import IdempotencyConflictError, MetricsError, StorageUnavailableError
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Reply

_ARRIVAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """An Idempotency-Key: what makes the repetition of a batch recognisable.

    Attributes:
        text: As the sender gave it.
        body_digest: Of its body.
        token_id: Separates one token's keys from another's; empty if there are no tokens.
        left_out: Digest of the keys whose messages are not taken, if there are any.
    """

    text: str
    body_digest: str
    token_id: str = ""
    left_out: str = ""

    def without(self, keys: Collection[str]) -> Self:
        """Return the same for a batch of which the messages of some keys are not taken.

        Its fingerprints are others: where it is stored without them, a repetition that would take
        them is a conflict, and is not taken for the same.
        """
        digest = blake2b("\n".join(sorted(keys)).encode(), digest_size=16)
        return replace(self, left_out=digest.hexdigest())

    @property
    def fingerprint(self) -> int:
        """A short digest: Redis keeps a number of 7 bytes in a fraction of the memory of a text."""
        text = f"{self.body_digest}{self.left_out}"
        return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")

    @property
    def name(self) -> str:
        """The key, unique to its sender."""
        return f"{self.token_id}:{self.text}" if self.token_id else self.text


class Reservation:
    """The first use of an Idempotency-Key: which body came under it, and when.

    It is made in the key's home partition before anything is appended. The fingerprints in the
    partitions alone would miss a second body that touches other partitions than the first did.
    Nothing counts as stored because of it.

    Args:
        idempotency_key: The batch's.
        arrival: When this request came, in Unix seconds.
        partitions: How many there are.
        window_s: The dedupe window.
        only_look: Whether to leave the key free if it is.

    Attributes:
        home_partition: The partition of the key.
        calls: What to send.
    """

    def __init__(
        self,
        idempotency_key: IdempotencyKey,
        arrival: float,
        *,
        partitions: int,
        window_s: int,
        only_look: bool = False,
    ) -> None:
        self._idempotency_key = idempotency_key
        self._arrival = arrival
        self.home_partition = partition_of(idempotency_key.name, partitions)
        name = PartitionNames(self.home_partition).batch(idempotency_key.name)
        text = f"{idempotency_key.body_digest} {arrival!r}"
        look = command("GET", name)
        self.calls: list[Call] = [
            look,
            # A repetition refreshes the fingerprints, and they must not outlive this.
            command("EXPIRE", name, window_s),
        ]
        if not only_look:
            self.calls.insert(0, command("SET", name, text, "NX", "EX", window_s))
        self._place = self.calls.index(look)

    def read_replies(self, replies: Sequence[Reply | MetricsError]) -> float | MetricsError:
        """Return when the first request under this key came, or what stands against this one."""
        for reply in replies:
            if isinstance(reply, MetricsError):
                # Of the batch itself nothing is stored yet.
                return StorageUnavailableError(str(reply), stored="no", public=reply.public)
        text: bytes | None = done(replies[self._place])
        if text is None:  # it is free, or expired just now
            return self._arrival
        body_digest, _, arrival = text.decode(errors="replace").partition(" ")
        if not _ARRIVAL.fullmatch(arrival):
            return not_ours(PartitionNames(self.home_partition).batch(self._idempotency_key.name))
        return (
            float(arrival)
            if body_digest == self._idempotency_key.body_digest
            else conflict(self._idempotency_key)
        )


def conflict(idempotency_key: IdempotencyKey, *, or_else: str = "") -> IdempotencyConflictError:
    """Return the error of a second body under a key, and of what else it may be."""
    return IdempotencyConflictError(
        f"Idempotency-Key {idempotency_key.text!r} was used for another body{or_else}"
    )


def not_ours(name: str) -> StorageUnavailableError:
    """Return the error of a name of ours that holds what somebody else wrote."""
    return StorageUnavailableError(
        f"{name} does not hold what a collector writes there; it expires, or DEL it", stored="no"
    )
