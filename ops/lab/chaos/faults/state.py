"""What Redis holds is taken away, or it can hold no more."""

import signal
from dataclasses import dataclass
from random import Random
from time import sleep

from metrics.connection import command
from metrics.keyspace import GROUP, PartitionNames
from ops.lab.chaos.system import System
from ops.local.waiting import wait_until

BACKLOG_S = 0.5
"""How long workers stand still, so that a full Redis has something to drain."""

DRAIN_TIMEOUT_S = 30.0
GROUP_TIMEOUT_S = 30.0
GROUPS_MAX = 4


@dataclass(frozen=True, slots=True)
class FlushScripts:
    """SCRIPT FLUSH, as after a restart or on a new master."""

    system: System

    def inject(self, random: Random) -> str:
        """Let Redis forget its scripts a few times."""
        times = random.randint(1, 5)
        for _ in range(times):
            self.system.redis.flush_scripts()
            sleep(random.uniform(0, 0.1))
        return f"scripts flushed {times} times"


@dataclass(frozen=True, slots=True)
class DestroyGroups:
    """XGROUP DESTROY: what was pending for whom is forgotten, while workers hold it."""

    system: System

    def inject(self, random: Random) -> str:
        """Take the consumer groups of some partitions away."""
        numbers = random.sample(self.system.partitions, random.randint(1, GROUPS_MAX))
        for number in numbers:
            stream = PartitionNames(number).stream
            self.system.connection.ask(command("XGROUP", "DESTROY", stream, GROUP, key=stream))
        wait_until(
            lambda: all(map(self._has_group, numbers)), GROUP_TIMEOUT_S, "workers create the groups"
        )
        return f"groups of partitions {', '.join(map(str, sorted(numbers)))} destroyed"

    def _has_group(self, number: int) -> bool:
        stream = PartitionNames(number).stream
        return bool(self.system.connection.ask(command("XINFO", "GROUPS", stream, key=stream)))


@dataclass(frozen=True, slots=True)
class FillRedis:
    """A Redis that is out of memory takes nothing more, and drains even so."""

    system: System

    def inject(self, random: Random) -> str:
        """Let a backlog grow, fill Redis, wait until workers have emptied it, and free it."""
        try:
            entries = self._fill()
            self.system.drain(DRAIN_TIMEOUT_S)
        finally:
            self.system.redis.configure("maxmemory", "0")
        return f"Redis was full, and {entries} entries were drained all the same"

    def _fill(self) -> int:
        """Fill Redis while workers stand still; return how many entries wait for them."""
        try:
            for worker in self.system.workers:
                worker.send(signal.SIGSTOP)
            sleep(BACKLOG_S)
            self.system.redis.configure("maxmemory", "1")
            return sum(audit.length for audit in self.system.audit())
        finally:
            for worker in self.system.workers:
                worker.send(signal.SIGCONT)
