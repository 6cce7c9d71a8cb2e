"""How many keys there are and how many of them are new in this hour, by the scripts that let in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metrics.connection import Call, Script
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Argument, Reply

ROUND_SHARE = 200
"""So small a part of a limit may be let in at once: twenty processes pass it by a tenth."""

RETRY_S = 10
"""When keys that had no room may be sent again, unless it is known better."""

_LET_IN = Script.named("let_in")
_FIXED = 3
"""Values of a reply before those of each key."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Keys for which there is no room.

    Attributes:
        keys: These.
        reason: Why, to be said of one.
        retry_s: In how many seconds there may be room.
    """

    keys: frozenset[str] = frozenset()
    reason: str = ""
    retry_s: int = RETRY_S


NONE_REFUSED = Refusal()


@dataclass(frozen=True, slots=True)
class KeysMax:
    """How many keys may be let in.

    Attributes:
        keys: How many there may be.
        new_per_hour: How many may be new in an hour; None for any number.
    """

    keys: int
    new_per_hour: int | None = None


class KeyCounts:
    """What partitions last said.

    Args:
        keys_max: How many there may be.
        partitions: How many partitions there are.
        retention_s: How long a key without messages counts.
    """

    def __init__(self, keys_max: KeysMax, *, partitions: int, retention_s: float) -> None:
        self._max = keys_max
        self._partitions = partitions
        self._retention_s = retention_s
        self._counts = [0] * partitions
        self._new = [0] * partitions
        self._ages_s = [0.0] * partitions

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return sum(self._counts)

    @property
    def new(self) -> int:
        """How many of them are new in this hour."""
        return sum(self._new)

    @property
    def age_s(self) -> float:
        """How old the oldest entry of the backlog is, of the partitions that answer."""
        return max(self._ages_s)

    @property
    def is_full(self) -> bool:
        """Whether no new key has room."""
        return self.room == 0

    @property
    def room(self) -> int:
        """How many new keys may be let in before all partitions are counted anew."""
        limits = [(self._max.keys, self.keys)]
        if self._max.new_per_hour is not None:
            limits.append((self._max.new_per_hour, self.new))
        return max(0, min(min(most - now, max(1, most // ROUND_SHARE)) for most, now in limits))

    def refusal(self, keys: Mapping[str, Hour], now: float) -> Refusal:
        """Return what is to be said of keys that have no room."""
        if not keys:
            return NONE_REFUSED
        if self.keys >= self._max.keys or self._max.new_per_hour is None:
            limit = f"there are as many keys as METRICS_KEYS_MAX ({self._max.keys}) allows"
            retry_s = RETRY_S
        else:
            limit = (
                "as many keys are new in this hour as METRICS_NEW_KEYS_PER_HOUR "
                f"({self._max.new_per_hour}) allows"
            )
            retry_s = int(Hour.of(now).end - now) + 1
        return Refusal(frozenset(keys), f"is new, and {limit}; known keys go on", retry_s)

    def by_partition(self, keys: Mapping[str, Hour]) -> dict[int, list[str]]:
        """Return keys by their partitions."""
        found: dict[int, list[str]] = {}
        for key in keys:
            found.setdefault(partition_of(key, self._partitions), []).append(key)
        return found

    def calls(
        self,
        keys: Mapping[str, Hour],
        by_partition: Mapping[int, Sequence[str]],
        room: int,
        now: float,
        *,
        looks: bool = False,
    ) -> list[Call]:
        """Return the calls that ask all partitions for keys, and let some of the new ones in.

        Args:
            keys: Each with the hour of one of its messages.
            by_partition: The same, by partition.
            room: How many new ones may be let in.
            now: Unix seconds.
            looks: Whether to look how old the backlog is.
        """
        oldest = Hour.of(now - self._retention_s).digits
        this = Hour.of(now)
        following = Hour(this.number + 1)
        calls = []
        for number in range(self._partitions):
            some = by_partition.get(number, ())
            share = min(room, len(some))
            room -= share
            pairs: list[Argument] = []
            for key in some:
                pairs += (keys[key].digits, key)
            names = PartitionNames(number)
            arguments = [share, oldest, this.digits, following.digits, int(looks), *pairs]
            calls.append(_LET_IN.call([names.keys, names.audit, names.stream], arguments))
        return calls

    def fail(self, partition: int) -> None:
        """Note that a partition does not answer: how old its backlog is, nobody knows."""
        self._ages_s[partition] = 0.0

    def read(self, partition: int, reply: Reply) -> Sequence[int]:
        """Note what a partition says; return the results of its keys."""
        self._counts[partition], self._new[partition], age_ms = reply[:_FIXED]
        if age_ms >= 0:
            self._ages_s[partition] = age_ms / 1000
        results: Sequence[int] = reply[_FIXED:]
        return results
