"""A real redis-server as the storage: killed, with its append-only file torn or put back."""

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from metrics.node import Argument, Command, Reply
from metrics.redis_errors import REFUSALS
from ops.lab.simulation.faults import FAILOVER, STORAGE
from ops.lab.simulation.storage import PutBack, prefix_of
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis

SERVER_KILLED = "server killed"
FILE_TORN = "file torn"

RARELY = 0.15
"""How many schedules know what takes a restart, which is as long as the rest of them."""

TORN_BYTES_MAX = 1500
FILE_BYTES_MAX = 4_000_000
"""What schedules leave in the file before it is begun anew: a restart reads all of it."""


class RealStorage:
    """A redis-server on a unix socket, which writes each command to its file before it replies.

    Args:
        server: The program.
        folder: Where it may keep what it needs; an empty one.
    """

    events: ClassVar[Mapping[str, float]] = {
        **STORAGE,
        FAILOVER: RARELY,
        SERVER_KILLED: RARELY,
        FILE_TORN: RARELY,
    }

    def __init__(self, server: Path, folder: Path) -> None:
        self._folder = folder / "data"
        self._file = self._folder
        socket = str(folder / "socket")
        self._redis = EmbeddedRedis(
            server,
            port=free_port(),
            folder=self._folder,
            options=("--unixsocket", socket, "--appendfsync", "always"),
        )
        kind: Any = redis.UnixDomainSocketConnection  # redis-py has only half a type for it
        self._connection = kind(path=socket, protocol=2, retry=Retry(NoBackoff(), 0))
        self._position: Callable[[], int] = int
        self._written: list[tuple[int, int]] = []
        """Size of the file after each command, and where the ledger was before it."""
        self._begin()

    def reset(self, now: Callable[[], float], position: Callable[[], int]) -> None:
        """Empty it.

        Args:
            now: Not used: its own clock cannot be set.
            position: Where the ledger is, to say later to where it went back.
        """
        if self._size() > FILE_BYTES_MAX:
            self._end(signal.SIGKILL)
            shutil.rmtree(self._folder)
            self._begin()
        self._ask("FLUSHALL")
        self._ask("SCRIPT", "FLUSH")
        self._position = position
        self._keep()

    def execute(self, command: Command) -> Reply:
        """Do a command; return its reply, or the error that stands in its place."""
        if command[0] == "XAUTOCLAIM":
            # It measures idle time by its own clock, for which a schedule takes no time at all.
            command = (*command[:4], 0, *command[5:])
        position = self._position()
        reply = self._reply_to(command)
        self._written.append((self._size(), position))
        return reply

    def snapshot(self) -> PutBack:
        """Return what puts it back to what it holds now."""
        size = self._size()
        names: list[bytes] = self._ask("KEYS", "metrics:*")
        dumps = {name: (self._ask("PTTL", name), self._ask("DUMP", name)) for name in names}

        def put_back(partition: int | None) -> None:
            if partition is None:
                self._end(signal.SIGKILL)
                self._cut(size)
                self._begin()
                return
            prefix = prefix_of(partition)
            for name in self._ask("KEYS", f"{prefix}*"):
                self._ask("DEL", name)
            for name, (left_ms, dump) in dumps.items():
                if name.startswith(prefix.encode()):
                    self._ask("RESTORE", name, max(0, left_ms), dump)
            self._ask("SCRIPT", "FLUSH")
            self._keep()

        return put_back

    def happen(self, event: str, random: Random) -> int | None:
        """Kill it and start it again, perhaps with the end of its file torn off.

        Returns:
            The position to which it went back, if it lost anything.
        """
        self._end(signal.SIGKILL)
        if event == FILE_TORN:
            self._cut(self._size() - random.randrange(TORN_BYTES_MAX))
        self._begin()
        size = self._size()
        return next((position for written, position in self._written if written > size), None)

    def restart(self) -> None:
        """Stop it cleanly and start it again."""
        self._end(signal.SIGTERM)
        self._begin()

    def close(self) -> None:
        """End it."""
        self._end(signal.SIGKILL)

    def _begin(self) -> None:
        self._folder.mkdir(exist_ok=True)
        with redirect_stderr(StringIO()):  # it tells each time that it has mended the file
            self._redis.start()
        # From Redis 7.0 on there are several files; the newest is appended to.
        several = sorted(self._folder.glob("appendonlydir/*.incr.aof"))
        self._file = several[-1] if several else self._folder / "appendonly.aof"

    def _end(self, how: signal.Signals) -> None:
        self._connection.disconnect()
        self._redis.stop(how)

    def _size(self) -> int:
        return self._file.stat().st_size

    def _keep(self) -> None:
        """Let nothing be torn off that the file holds now."""
        self._written = [(self._size(), self._position())]

    def _cut(self, size: int) -> None:
        """Let the file have only so many bytes, or what must be kept of it."""
        os.truncate(self._file, max(self._written[0][0], size))

    def _ask(self, *command: Argument) -> Reply:
        reply = self._reply_to(command)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _reply_to(self, command: Command) -> Reply:
        try:
            self._connection.send_command(*command)
            return self._connection.read_response(disconnect_on_error=False)
        except (ResponseError, *REFUSALS) as error:
            return error
