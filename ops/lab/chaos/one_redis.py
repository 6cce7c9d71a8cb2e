"""A single Redis to break: the processes reach it through a proxy, we reach it directly."""

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from ops.lab.certificates import Certificates
from ops.lab.chaos.proxy import Proxy
from ops.lab.tls_front import speaks_tls, tls_before
from ops.local.ports import free_port
from ops.local.redis_with_users import ADMIN, RedisWithUsers


class OneRedis:
    """A redis-server that keeps all it was told before it answers, and a proxy before it.

    It has the users that ship, so each restart reads the append-only file as those do. If it was
    built without TLS, as those of wheels are, another stands between the proxy and it.

    Args:
        server: The program.
        folder: Where its data lie; it must exist.
        certificates: What the processes and Redis show each other; None for no TLS.

    Attributes:
        server: The redis-server.
        proxy: What the processes connect to.
        url: Of the proxy, what the processes get.
        own_url: Of the server, past everything that is broken on the way.
        replicas: How many must have a message before its 202.
        environ: More variables for each process.
    """

    replicas = 0

    def __init__(
        self, server: Path, folder: Path, *, certificates: Certificates | None = None
    ) -> None:
        port, tls_port = free_port(), free_port()
        is_able = certificates is not None and speaks_tls(server)
        options = certificates.redis_options(tls_port) if certificates and is_able else ()
        self.server = RedisWithUsers(
            server, port=port, folder=folder, options=("--appendfsync", "always", *options)
        )
        self.environ = certificates.environ if certificates else {}
        self._front = ExitStack()
        if certificates and not is_able:
            context = certificates.server_context()
            self._front.enter_context(tls_before(port, context, at=tls_port))
        self._scheme = "rediss" if certificates else "redis"
        self.proxy = Proxy(tls_port if certificates else port, port=free_port())
        self.url = self.url_of(ADMIN)
        self.own_url = self.server.url

    def start(self) -> Self:
        """Start both."""
        self.server.start()
        self.proxy.start()
        return self

    def url_of(self, role: str) -> str:
        """Return the URL of the proxy for a process of a role."""
        return self.server.url_of(role, port=self.proxy.port, scheme=self._scheme)

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
        self._front.close()
        self.server.stop(signal.SIGKILL)
