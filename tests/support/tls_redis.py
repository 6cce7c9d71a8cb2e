"""A Redis with the users that ship, over TLS."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from metrics.connection import Connection
from ops.lab.certificates import Certificates
from ops.lab.tls_front import speaks_tls, tls_before
from ops.local.ports import free_port
from ops.local.redis_with_users import RedisWithUsers


@dataclass(frozen=True)
class TlsRedis:
    """It.

    Attributes:
        redis: The server.
        port: Where it takes TLS.
        certificates: What it asks for.
    """

    redis: RedisWithUsers
    port: int
    certificates: Certificates

    def url_of(self, role: str) -> str:
        """Return the URL of a user."""
        return self.redis.url_of(role, port=self.port, scheme="rediss")

    def environ(self, role: str) -> Mapping[str, str]:
        """Return the variables of a process that is a user."""
        return {"REDIS_URL": self.url_of(role), **self.certificates.environ}

    def connected(self, role: str) -> Connection:
        """Return the way to it as one of its users."""
        tls = self.certificates.client
        return Connection.open(self.url_of(role), timeout_s=5, connections_max=4, tls=tls)


@contextmanager
def started(server: Path, folder: Path) -> Iterator[TlsRedis]:
    """Yield it: of itself where the server was built with TLS, else with TLS in front."""
    port, certificates = free_port(), Certificates(folder)
    is_able = speaks_tls(server)
    # With everysec a kill may lose what was written while the disk was busy.
    options = ("--appendfsync", "always", *(certificates.redis_options(port) if is_able else ()))
    redis = RedisWithUsers(server, port=free_port(), folder=folder, options=options).start()
    with ExitStack() as stack:
        stack.callback(redis.stop, signal.SIGKILL)
        if not is_able:
            context = certificates.server_context()
            port = stack.enter_context(tls_before(redis.port, context))
        yield TlsRedis(redis, port, certificates)
