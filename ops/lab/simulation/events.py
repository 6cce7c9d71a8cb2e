"""What happens between two steps of a schedule: to Redis, and to processes as a whole."""

from collections.abc import Callable, Collection, Sequence

from metrics.connection import Script
from metrics.entry import Column
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames, partition_of
from metrics.stream import AppendCalls, Batch
from ops.lab.ledger import Ledger
from ops.lab.simulation import spoilt
from ops.lab.simulation.checks import Checks
from ops.lab.simulation.faults import (
    FAILOVER,
    GROUP_DESTROYED,
    GROUP_SET_BACK,
    KILLED,
    PARTITION_FAILOVER,
    SCRIPTS_FLUSHED,
    SPOILT,
    STOPPED,
    UNREADABLE,
)
from ops.lab.simulation.losses import key_of
from ops.lab.simulation.node import Wire
from ops.lab.simulation.processes import Process
from ops.lab.simulation.storage import PutBack, Storage

STOPPED_STEPS_MAX = 80
"""How long a process does nothing that got a SIGSTOP."""

REPLICATED_SHARE = 0.12
"""How often replicas get something new, a step."""

REPLICAS = 4
"""What a failover may go back to."""

NO_NUMBERS = "no numbers"

_OPERATOR = "operator"


class Events:
    """Lets them happen, and tells the ledger what may be lost by it.

    Args:
        storage: Redis.
        wire: The way to it.
        ledger: What was sent, and how that was answered.
        checks: To be told when Redis went back to what it held earlier.
        partitions: How many there are.
        processes: Those that are killed and stopped.
        hours: Of which there are messages.
    """

    def __init__(
        self,
        storage: Storage,
        wire: Wire,
        ledger: Ledger,
        checks: Checks,
        *,
        partitions: int,
        processes: Sequence[Process],
        hours: Collection[Hour],
    ) -> None:
        self._storage = storage
        self._wire = wire
        self._ledger = ledger
        self._checks = checks
        self._random = wire.random
        self._partitions = partitions
        self._processes = processes
        self._hours = hours
        self._replicas: list[tuple[int, PutBack]] = []
        self._happen: dict[str, Callable[[], None]] = {
            KILLED: self._kill,
            STOPPED: self._stop,
            SCRIPTS_FLUSHED: self._flush_scripts,
            GROUP_DESTROYED: self._destroy_group,
            GROUP_SET_BACK: self._set_group_back,
            UNREADABLE: self._append_unreadable,
            SPOILT: self._spoil,
            FAILOVER: lambda: self._fail_over(None),
            PARTITION_FAILOVER: lambda: self._fail_over(self._number()),
        }

    def happen(self, kind: str) -> None:
        """Let something happen."""
        if kind in self._happen:
            self._happen[kind]()
            return
        position = self._storage.happen(kind, self._random)
        self._wire.break_all()
        if position is not None:
            self._replicas = [replica for replica in self._replicas if replica[0] < position]
            self._went_back(position, None)

    def replicate(self) -> None:
        """Let replicas get what Redis holds now, some sooner, some later."""
        is_wanted = self._wire.faults.may_be(FAILOVER, PARTITION_FAILOVER)
        if is_wanted and self._random.random() < REPLICATED_SHARE:
            self._replicas.append((self._ledger.position(), self._storage.snapshot()))
            del self._replicas[:-REPLICAS]

    def restart(self, process: Process) -> None:
        """Kill a process, and begin it again."""
        process.kill()
        process.boot()

    def retry_dead_letters(self) -> None:
        """Have all dead letters read once more, mended or not."""
        retry = Script.named("retry_dead_letter")
        self._wire.carry(_OPERATOR, ("SCRIPT", "LOAD", retry.text))
        for names in map(PartitionNames, range(self._partitions)):
            keys = [names.stream, names.audit, names.backlog, names.dead]
            for id_, _ in self._wire.carry(_OPERATOR, ("XRANGE", names.dead, "-", "+")):
                call = retry.call(keys, [id_, self._wire.new_nonce()])
                self._wire.carry(_OPERATOR, call.arguments)

    def _kill(self) -> None:
        self.restart(self._random.choice(self._processes))

    def _stop(self) -> None:
        process = self._random.choice(self._processes)
        steps = self._random.randrange(STOPPED_STEPS_MAX)
        process.stopped_until = self._wire.scheduler.steps + steps

    def _flush_scripts(self) -> None:
        self._wire.carry(_OPERATOR, ("SCRIPT", "FLUSH"))

    def _destroy_group(self) -> None:
        self._wire.carry(_OPERATOR, ("XGROUP", "DESTROY", self._stream(), GROUP))

    def _set_group_back(self) -> None:
        self._wire.carry(_OPERATOR, ("XGROUP", "SETID", self._stream(), GROUP, 0))

    def _append_unreadable(self) -> None:
        """Append an entry as no collector of ours does; the audit counts it even so."""
        column = Column(f"{Hour.of(self._wire.scheduler.now)}:broken", NO_NUMBERS, 1)
        batch = Batch({self._number(): [column]})
        group = AppendCalls(
            [batch], backlog_limit_entries=1000, window_s=1, new_nonce=self._wire.new_nonce
        )
        self._wire.carry(_OPERATOR, ("SCRIPT", "LOAD", Script.named("append").text))
        self._wire.carry(_OPERATOR, group.calls[0].arguments)

    def _spoil(self) -> None:
        """Spoil hashes that clients send messages of, together with messages of other keys."""
        number = self._number()
        key = spoilt.keys_of(self._partitions)[number]
        for command in spoilt.commands(key, number, self._hours):
            self._wire.carry(_OPERATOR, command)

    def _fail_over(self, partition: int | None) -> None:
        """Let a replica take over that is some steps behind."""
        if not self._replicas:
            return
        i = self._random.randrange(len(self._replicas))
        position, put_back = self._replicas[i]
        # What the old master had later than that, no replica of the new one has.
        del self._replicas[i + 1 :]
        put_back(partition)
        self._wire.break_all()
        self._went_back(position, partition)

    def _went_back(self, position: int, partition: int | None) -> None:
        def concerns(key: str) -> bool:
            return partition in {None, partition_of(key_of(key), self._partitions)}

        self._ledger.rolled_back(position, concerns)
        self._checks.went_back()

    def _number(self) -> int:
        return self._random.randrange(self._partitions)

    def _stream(self) -> str:
        return PartitionNames(self._number()).stream
