"""What must be true after every command and in the end, whatever happened."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from metrics.aggregate import Aggregate
from metrics.audit import PartitionAudit
from metrics.errors import MetricsError
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames
from metrics.merged import merged_of
from metrics.node import Command, Reply
from ops.lab.ledger import NOTHING, Counted, Difference, Ledger, Message
from ops.lab.simulation import losses
from ops.lab.simulation.spoilt import is_spoilt
from ops.lab.simulation.storage import Storage

Hashes = dict[str, dict[bytes, bytes]]
"""Name of the hash of a key-hour -> its fields."""

_COUNTS = ("appended", "committed", "dead", "accepted", "applied", "dead_messages")
_HOUR = "}:hour:"


class Checks:
    """Looks at what Redis holds, past all that can be lost on the way.

    Args:
        storage: Redis.
        ledger: What was sent, and how that was answered.
        partitions: How many there are.
        complain: Called with what is not as it must be, in words.
    """

    def __init__(
        self,
        storage: Storage,
        ledger: Ledger,
        *,
        partitions: int,
        complain: Callable[[str], None],
    ) -> None:
        self._storage = storage
        self._ledger = ledger
        self._partitions = [PartitionNames(number) for number in range(partitions)]
        self._complain = complain
        self._hours: dict[Message, Collection[Hour]] = {}
        self._counted: dict[str, Counted] = {}

    def expect(self, message: Message, hours: Collection[Hour]) -> None:
        """Note the hours of which a message may be."""
        self._hours[message] = hours

    def after(self, command: Command) -> None:
        """Look at what a command may have changed."""
        if command[0] != "EVALSHA":
            return
        keys = [str(key) for key in command[3 : 3 + int(command[2])]]
        for partition in self._partitions:
            if keys[:2] == [partition.stream, partition.audit]:
                self._check_books(partition)
        hashes = [key for key in keys if _HOUR in key]
        for name in hashes:
            self._read(name)
        if hashes:
            for difference in self._ledger.check(self._totals(), is_drained=False):
                self._complain(f"too early, too: {difference}")

    def went_back(self) -> None:
        """Look afresh: Redis holds what it held earlier."""
        self._counted = {}
        for name in self._hash_names():
            self._read(name)

    def is_drained(self) -> bool:
        """Return whether no stream holds anything."""
        return not any(self._ask("XLEN", partition.stream) for partition in self._partitions)

    def hashes(self) -> Hashes:
        """Return the hashes of all key-hours."""
        found = {}
        for name in self._hash_names():
            fields = self._ask("HGETALL", name)
            found[name] = dict(zip(fields[::2], fields[1::2], strict=True))
        return found

    def in_the_end(self, hashes: Hashes) -> list[Difference]:
        """Look at everything once all is drained; return what differs from the ledger.

        Args:
            hashes: Of all key-hours.
        """
        for partition in self._partitions:
            self._check_books(partition)
            left = {
                "entries": self._ask("XLEN", partition.stream),
                "pending entries": self._ask("XPENDING", partition.stream, GROUP)[0],
                "hours in the backlog": self._ask("HLEN", partition.backlog),
            }
            if any(left.values()):
                self._complain(f"partition {partition.number} is not empty: {left}")
        self._counted = {}
        for name, fields in hashes.items():
            self._note(name, *map(fields.get, (b"sum", b"count", b"dropped")))
            if not is_spoilt(name):
                self._check_hash(name, fields)
        return self._ledger.check(self._totals())

    def _check_books(self, partition: PartitionNames) -> None:
        texts = self._ask("HMGET", partition.audit, *_COUNTS)
        counts = {name: int(text or 0) for name, text in zip(_COUNTS, texts, strict=True)}
        counts["length"] = self._ask("XLEN", partition.stream)
        audit = PartitionAudit(partition.number, **counts)
        if not audit.balance:
            self._complain(f"{audit} do not balance")

    def _read(self, name: str) -> None:
        self._note(name, *self._ask("HMGET", name, "sum", "count", "dropped"))

    def _note(
        self, name: str, total: bytes | None, count: bytes | None, dropped: bytes | None
    ) -> None:
        """Note what a key-hour holds of messages and loss reports."""
        if is_spoilt(name):
            return
        if total is not None and count is not None:
            self._note_count(name, Counted(float(total), int(count)))
        if dropped is not None:
            hour, _, key = name.rpartition(":")
            self._note_count(f"{hour}:{losses.name_of(key)}", losses.counted(int(dropped)))

    def _note_count(self, name: str, found: Counted) -> None:
        """Note how much it is; it never becomes less."""
        before = self._counted.get(name, NOTHING)
        if found.count < before.count or found.sum < before.sum:
            self._complain(f"{name} has become less: {before}, then {found}")
        self._counted[name] = found

    def _check_hash(self, name: str, fields: Mapping[bytes, bytes]) -> None:
        """Compare a hash with what belongs into it, as its digits tell."""
        hour, _, key = name.partition(_HOUR)[2].partition(":")
        try:
            aggregate = merged_of(fields)
            self._check_hours(hour, losses.name_of(key), losses.counted(aggregate.dropped))
            if not aggregate.count:
                return
            counted = Counted(aggregate.sum, aggregate.count)
            values = [message.value for message in self._check_hours(hour, key, counted)]
        except (MetricsError, ValueError) as error:
            self._complain(f"{name}: {error}")
            return
        if aggregate != replace(Aggregate.of(values), dropped=aggregate.dropped):
            self._complain(f"{name} is not what its messages fold into: {aggregate}")

    def _check_hours(self, hour: str, name: str, counted: Counted) -> list[Message]:
        """Look at the hour of what was counted under a name in the ledger, and return it."""
        times = counted.times()
        messages = [Message(name, number) for number, n in times.items() for _ in range(n)]
        for message in messages:
            if Hour.parse(hour) not in self._hours.get(message, ()):
                self._complain(f"{message} was counted in the wrong hour, {hour}")
        return messages

    def _totals(self) -> dict[str, Counted]:
        """Return what was counted of each key, in all hours."""
        totals: dict[str, Counted] = {}
        for name, found in self._counted.items():
            key = name.rpartition(":")[2]
            so_far = totals.get(key, NOTHING)
            totals[key] = Counted(so_far.sum + found.sum, so_far.count + found.count)
        return totals

    def _hash_names(self) -> list[str]:
        return sorted(name.decode() for name in self._ask("KEYS", f"metrics:*{_HOUR}*"))

    def _ask(self, *command: str) -> Reply:
        reply = self._storage.execute(command)
        if isinstance(reply, Exception):
            raise reply
        return reply
