"""A single Redis to break: the processes reach it through a proxy, we reach it directly."""

import signal
from pathlib import Path
from typing import Self

from ops.lab.chaos.proxy import Proxy
from ops.local.ports import free_port
from ops.local.redis_with_users import ADMIN, RedisWithUsers


class OneRedis:
    """A redis-server that keeps all it was told before it answers, and a proxy before it.

    It has the users that ship, so each restart reads the append-only file as those do.

    Args:
        server: The program.
        folder: Where its data lie; it must exist.

    Attributes:
        server: The redis-server.
        proxy: What the processes connect to.
        url: Of the proxy, what the processes get.
        own_url: Of the server, past everything that is broken on the way.
        replicas: How many must have a message before its 202.
    """

    replicas = 0

    def __init__(self, server: Path, folder: Path) -> None:
        self.server = RedisWithUsers(
            server, port=free_port(), folder=folder, options=("--appendfsync", "always")
        )
        self.proxy = Proxy(self.server.port, port=free_port())
        self.url = self.server.url_of(ADMIN, port=self.proxy.port)
        self.own_url = self.server.url

    def start(self) -> Self:
        """Start both."""
        self.server.start()
        self.proxy.start()
        return self

    def url_of(self, role: str) -> str:
        """Return the URL of the proxy for a process of a role."""
        return self.server.url_of(role, port=self.proxy.port)

    def restart(self, how: signal.Signals) -> None:
        """End the server by a signal, and start it again."""
        self.server.stop(how)
        self.server.start()

    def configure(self, name: str, value: str) -> None:
        """Set a parameter of the server."""
        with self.server.client() as client:
            client.config_set(name, value)

    def flush_scripts(self) -> None:
        """Let the server forget its scripts."""
        with self.server.client() as client:
            client.script_flush()

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        if self.server.process is not None:
            self.server.process.send_signal(number)

    def close(self) -> None:
        """Leave nothing of it."""
        self.proxy.close()
        self.server.stop(signal.SIGKILL)
