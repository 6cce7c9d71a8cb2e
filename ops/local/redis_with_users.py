"""A redis-server under the users that ship: the default user is off, each role has its own."""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.local.redis_server import REPLY_TIMEOUT_S, EmbeddedRedis

USERS = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl"
"""A line for each user, with ``<NAME>_SHA256`` in the place of the digest of its password."""

ADMIN = "admin"
ROLES = ("collector", "worker", "query", "operator")


class RedisWithUsers(EmbeddedRedis):
    """A redis-server process on 127.0.0.1 with a file of users.

    Its passwords are drawn.

    Args:
        server: The program.
        port: Where it will listen.
        folder: Where its data and the file of users lie.
        options: More arguments for it.
        users: The lines of that file; ``ADMIN`` must be one of them.

    Attributes:
        url: Of the user that may do everything.
    """

    def __init__(
        self,
        server: Path,
        *,
        port: int,
        folder: Path,
        options: Sequence[str] = (),
        users: str = USERS.read_text("utf-8"),
    ) -> None:
        file = folder / USERS.name
        super().__init__(
            server, port=port, folder=folder, options=(*options, "--aclfile", str(file))
        )
        self._secrets = {name: secrets.token_hex(24) for name in (ADMIN, *ROLES)}
        for name, secret in self._secrets.items():
            digest = hashlib.sha256(secret.encode()).hexdigest()
            users = users.replace(f"{name.upper()}_SHA256", digest)
        file.write_text(users, "utf-8")
        self.url = self.url_of(ADMIN)

    def url_of(self, name: str, *, port: int | None = None, scheme: str = "redis") -> str:
        """Return the URL of a user, there or at another port."""
        return f"{scheme}://{name}:{self._secrets[name]}@127.0.0.1:{port or self.port}/0"

    def client(self) -> redis.Redis:
        """Return a plain client of the user that may do everything."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=ADMIN,
            password=self._secrets[ADMIN],
            protocol=2,
            socket_timeout=REPLY_TIMEOUT_S,
            socket_connect_timeout=REPLY_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
