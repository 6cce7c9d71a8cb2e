"""The way to Redis in a simulation: others come in between, and anything may be lost on it."""

from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Self

import redis
from redis.exceptions import OutOfMemoryError, ResponseError

from metrics.connection import Script
from metrics.errors import StorageUnavailableError, Stored
from metrics.node import Argument, Command, Node, Pipeline, Reply
from metrics.nonce import NONCE_BITS
from ops.lab.simulation.faults import (
    CRASH,
    CUT,
    LATE,
    MEMORY_OUT,
    REFUSED,
    REPLY_LOST,
    REQUEST_LOST,
    Faults,
)
from ops.lab.simulation.processes import Killed, Process, Scheduler
from ops.lab.simulation.sabotage import Sabotage
from ops.lab.simulation.storage import Storage

INTERRUPTED_SHARE = 0.1
"""How often others come in between two commands that were sent together."""

_NEED_MEMORY = frozenset({"SET", "HSETNX", "XGROUP", Script.named("append").sha1})


class Wire:
    """What lies between all processes and Redis.

    Args:
        storage: Redis.
        scheduler: Whose turn it is.
        faults: What happens on it.
        sabotage: What is changed on it.
        saw: Called with who sent a command that Redis has done, the command, and the reply.

    Attributes:
        scheduler: Whose turn it is.
        faults: What happens on it.
        random: Where, and to how much.
        sabotage: What is changed on it.
        breaks: How often all connections broke.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        scheduler: Scheduler,
        faults: Faults,
        sabotage: Sabotage,
        saw: Callable[[str, Command, Reply], None],
    ) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self.random: Random = scheduler.random
        self.sabotage = sabotage
        self.breaks = 0
        self._storage = storage
        self._saw = saw
        self._late: list[tuple[str, Sequence[Command]]] = []

    def carry(
        self, sender: str, command: Command, between: Callable[[], None] = lambda: None
    ) -> Reply:
        """Let Redis do a command.

        Args:
            sender: Who sent it.
            command: What to do.
            between: Called between two commands, if it is done with several.
        """

        def execute(command: Command) -> Reply:
            reply = self._storage.execute(command)
            self._saw(sender, command, reply)
            return reply

        return self.sabotage.run(command, execute, between)

    def new_nonce(self) -> int:
        """Draw a number that makes ids of entries unique; the same for the same seed."""
        return self.random.getrandbits(NONCE_BITS)

    def hold_back(self, sender: str, commands: Sequence[Command]) -> None:
        """Let commands arrive later, perhaps when their sender is gone."""
        self._late.append((sender, commands))

    def bring_late(self) -> bool:
        """Let commands arrive that were held back; return False if there are none."""
        if not self._late:
            return False
        sender, commands = self._late.pop(self.random.randrange(len(self._late)))
        for command in commands:
            self.carry(f"{sender}, late", command)
        return True

    def break_all(self) -> None:
        """Break all connections, with what is on them."""
        self.breaks += 1
        self._late.clear()


class SimulatedNode(Node):
    """Redis, as one process sees it."""

    def __init__(self, wire: Wire, process: Process) -> None:
        self.address = ("simulated", 0)
        self.name = "simulated:0"
        self._wire = wire
        self._process = process

    @property
    def is_healthy(self) -> bool:
        """Always: a connection that broke is made anew at once."""
        return True

    def pipeline(self, commands: Sequence[Command]) -> Pipeline:
        """Return an exchange, which sends the commands when it is entered."""
        return SimulatedExchange(self._wire, self._process, commands)

    def probe(self, *command: Argument) -> Reply:
        """Answer as a Redis does that is in no cluster, or not at all."""
        self._wire.scheduler.pause()
        if self._wire.faults.of_exchange():
            return redis.ConnectionError("lost")
        return ResponseError("ERR This instance has cluster support disabled")

    def close(self) -> None:
        """Do nothing: there are no connections."""


class SimulatedExchange(Pipeline):
    """Commands on their way: each may be done or not, and its reply seen or not."""

    def __init__(self, wire: Wire, process: Process, commands: Sequence[Command]) -> None:
        self._wire = wire
        self._process = process
        self._sent = commands
        self._replies: list[Reply] = []
        self._stored: Stored = "unknown"
        self._breaks = 0

    def __enter__(self) -> Self:
        """Let Redis do what it gets of the commands."""
        self._wire.scheduler.pause()
        self._breaks = self._wire.breaks
        fault = self._wire.faults.of_exchange()
        if fault == REFUSED:
            self._stored = "no"
        elif fault == LATE:
            self._wire.hold_back(self._process.name, self._sent)
        elif fault != REQUEST_LOST:
            replies = self._do(fault)
            if fault in {REPLY_LOST, CUT} and self._wire.sabotage.repeats_what_is_lost:
                self._replies = self._do("")
            elif fault != REPLY_LOST:
                self._replies = replies
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: there is no connection to give up."""

    def replies(self) -> list[Reply]:
        """Return the replies, one for each command; errors stand in their places."""
        self._wire.scheduler.pause()
        if self._is_broken():
            self._replies = []
        lost = StorageUnavailableError("Redis is away: lost", stored=self._stored)
        return [*self._replies, *[lost] * (len(self._sent) - len(self._replies))]

    def _do(self, fault: str) -> list[Reply]:
        """Let Redis do the commands, as far as the fault allows; return the replies that come."""
        random = self._wire.random
        # The fault comes before the command with this number.
        at = random.randrange(len(self._sent) + 1) if fault in {CRASH, CUT, MEMORY_OUT} else -1
        replies: list[Reply] = []
        for i, command in enumerate(self._sent[:at] if fault in {CRASH, CUT} else self._sent):
            if i and random.random() < INTERRUPTED_SHARE:
                self._wire.scheduler.pause()
            if self._is_broken():
                return []
            if fault == MEMORY_OUT and i >= at and not _NEED_MEMORY.isdisjoint(command[:2]):
                replies.append(OutOfMemoryError("command not allowed when used memory is out"))
                continue
            is_half = fault == CRASH and i + 1 == at
            between = self._crash if is_half else self._wire.scheduler.pause
            replies.append(self._wire.carry(self._process.name, command, between))
        if fault == CRASH:
            self._crash()
        return replies[: random.randrange(at + 1)] if fault == CUT else replies

    def _is_broken(self) -> bool:
        return self._wire.breaks != self._breaks

    def _crash(self) -> None:
        self._process.is_crashed = True
        raise Killed
