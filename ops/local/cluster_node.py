"""One node of a Redis Cluster: its redis-server, and what it says of itself and of the others."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from metrics.errors import StorageUnavailableError
from ops.local.password import Password
from ops.local.redis_server import REDIS_CONF, EmbeddedRedis

CLUSTER_CONF = REDIS_CONF.with_name("cluster.conf")
BUS_OFFSET = 10_000
"""How far the port at which nodes talk to each other is from the one for clients."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node as one of the nodes sees it.

    Attributes:
        id: Its name in the cluster; the same after a restart and on another port.
        is_master: Whether it is a master.
        is_failed: Whether it does not answer.
        master_id: Whose replica it is; "-" of a master.
        slots: The slots it has, as ranges.
    """

    id: str
    is_master: bool
    is_failed: bool
    master_id: str
    slots: tuple[range, ...]

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Read a line of CLUSTER NODES, as redis-py takes it apart."""
        flags = told["flags"].split(",")
        return cls(
            id=told["node_id"],
            is_master="master" in flags,
            is_failed="fail" in flags or "fail?" in flags,
            master_id=told["master_id"],
            slots=tuple(range(int(ends[0]), int(ends[-1]) + 1) for ends in told["slots"]),
        )


class ClusterNode(EmbeddedRedis):
    """A redis-server of a cluster, on 127.0.0.1; it can be killed, paused and asked.

    Args:
        server: The program.
        port: Where it will listen; for the other nodes, ``BUS_OFFSET`` above.
        folder: Where its data lie.
        node_timeout_ms: How long a node may be silent before it counts as failed.
        options: More arguments for it.
        password: The same for all nodes; None if they have none.

    Attributes:
        address: Where clients find it, as CLUSTER NODES writes it.
        id: Its name in the cluster, once it was started; the same on another port.
    """

    def __init__(
        self,
        server: Path,
        *,
        port: int,
        folder: Path,
        node_timeout_ms: int,
        options: Sequence[str] = (),
        password: Password | None = None,
    ) -> None:
        super().__init__(
            server,
            port=port,
            folder=folder,
            options=("--cluster-node-timeout", str(node_timeout_ms), *options),
            configuration=(REDIS_CONF, CLUSTER_CONF),
            password=password,
        )
        self.address = f"127.0.0.1:{port}"
        self.id = ""
        self._client = self.client()
        self._is_paused = False

    @property
    def is_up(self) -> bool:
        """Whether it can answer: it is started, and neither ended nor paused."""
        return self.process is not None and self.process.poll() is None and not self._is_paused

    def start(self) -> Self:
        """Start it, and wait until it answers.

        Raises:
            SettingsError: If it does not.
        """
        super().start()
        name: bytes = self.ask("CLUSTER MYID")
        self.id = name.decode()
        return self

    def ask(self, *words: str | bytes | float) -> Any:  # noqa: ANN401
        """Send a command to this node and to no other, and return its reply.

        Raises:
            redis.RedisError: Whatever error it met; a slot that is elsewhere, too.
        """
        return self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    def members(self) -> dict[str, Member]:
        """Return the nodes that it knows, itself included, by address."""
        nodes: dict[str, dict[str, Any]] = self.ask("CLUSTER NODES")
        return {
            address: Member.of(told)
            for address, told in nodes.items()
            if "handshake" not in told["flags"]
        }

    def owners(self) -> dict[str, tuple[range, ...]]:
        """Return who has which slots, as this node sees it."""
        return {address: member.slots for address, member in self.members().items() if member.slots}

    def replication(self) -> dict[str, Any]:
        """Return what it says of its master or its replicas."""
        told: dict[str, Any] = self._client.info("replication")
        return told

    def kill(self) -> None:
        """Let it die at once."""
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Let it stand still; its connections stay open. Returns when it does."""
        process = self._started()
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # macOS has no waitid before Python 3.13
        self._is_paused = True

    def resume(self) -> None:
        """Let it go on."""
        self._started().send_signal(signal.SIGCONT)
        self._is_paused = False

    def terminate(self) -> None:
        """Ask it to end, and do not wait; ``stop`` waits."""
        if self._is_paused:
            self.resume()
        if self.process is not None:
            self.process.terminate()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process; with SIGTERM it writes everything to disk first."""
        if self._is_paused and how != signal.SIGKILL:
            self.resume()
        super().stop(how)
        self._is_paused = False
        self._client.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise StorageUnavailableError(f"{self.address} is not started")
        return self.process
