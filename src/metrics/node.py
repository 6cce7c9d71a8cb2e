"""One redis-server: commands go out together, each comes back as a reply or as an error.

Nothing is ever sent again here. A command whose reply is lost may have been done, and says so
(``stored="unknown"``).
"""

import math
import time
from collections.abc import Callable, Sequence
from queue import Empty
from threading import Lock
from types import TracebackType
from typing import Any, Self, cast

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from metrics.errors import SettingsError, StorageUnavailableError, Stored
from metrics.redis_errors import REFUSALS, away, is_slow
from metrics.tls import TlsFiles
from metrics.tls_connection import TlsConnection

Argument = str | bytes | int | float
Command = tuple[Argument, ...]
Address = tuple[str, int]
"""Host and port; the path of a unix socket, and 0."""

Reply = Any
"""What Redis answered: bytes, int, None, or a list of these; or an exception in its place."""

# Its types know commands of one word only.
_packed = cast("Callable[[Command], bytes]", hiredis.pack_command)

PROBE_S = 0.3
"""How long a node that failed may take to show that it is well again, before it is used."""

PROBE_PAUSE_S = 1.0
"""Least time between two health checks of a failed node; callers of other nodes wait for them."""


class Pipeline:
    """A pipeline in flight. Leaving the context without ``replies()`` closes the connection.

    Else its replies would answer the next caller.
    """

    def __init__(self, node: "Node", commands: Sequence[Command]) -> None:
        self._node = node
        self._commands = commands
        self._failure: StorageUnavailableError | None = None
        self._connection: Any = None

    def __enter__(self) -> Self:
        """Send the commands."""
        try:
            self._connection = self._node.connect()
        except StorageUnavailableError as error:
            self._failure = error
            return self
        try:
            # As a whole: redis-py would send pieces, and Redis wake up for each.
            self._connection.send_packed_command([b"".join(map(_packed, self._commands))])
        except (RedisError, OSError) as error:
            self._fail(error)
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the connection go; one with replies to come is closed, as they answer nobody."""
        if self._connection is not None:
            self._give_up()

    def replies(self) -> list[Reply]:
        """Wait for the replies, one for each command; errors stand in their places."""
        replies: list[Reply] = []
        try:
            while self._failure is None and len(replies) < len(self._commands):
                try:
                    replies.append(self._connection.read_response(disconnect_on_error=False))
                except (ResponseError, *REFUSALS) as error:
                    replies.append(error)
        except (RedisError, OSError) as error:
            self._fail(error)
        replies += [self._failure] * (len(self._commands) - len(replies))
        if self._connection is not None:
            self._node.answered()
            self._node.release(self._connection)
            self._connection = None
        return replies

    def _fail(self, error: Exception) -> None:
        self._failure = self._node.failed(error, "unknown")
        self._give_up()

    def _give_up(self) -> None:
        self._connection.disconnect()
        self._node.release(self._connection)
        self._connection = None


class Node:
    """A redis-server, and the connections to it. Safe for threads and greenlets.

    A node that failed must answer a short inquiry before it is used again. So a node that does
    not answer holds nobody up for longer than that, and those who ask several nodes go on. What
    it takes too long for while it answers others is no failure of the node.

    Attributes:
        address: Where it is.
        name: The same as text.
    """

    def __init__(
        self,
        pool: Any,  # noqa: ANN401  (a redis.BlockingConnectionPool, which is only half typed)
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        kwargs = pool.connection_kwargs
        self.address: Address = (
            str(kwargs.get("host") or kwargs.get("path")),
            kwargs.get("port") or 0,
        )
        self.name = ":".join(map(str, self.address))
        self._monotonic = monotonic
        self._probing = Lock()
        self._failure: Exception | None = None
        self._probe_due = 0.0
        self._answered_at = -math.inf
        self._is_closed = False

    @classmethod
    def at(
        cls, url: str, *, timeout_s: float, connections_max: int, tls: TlsFiles | None = None
    ) -> Self:
        """Return the node at ``url``; connects when first used.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            timeout_s: How long a connection, and then each reply, may take.
            connections_max: How many connections there may be; who needs one more waits.
            tls: Certificates for ``rediss://``.

        Raises:
            SettingsError: If the URL is none, or a certificate cannot be used.
        """
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                protocol=2,
                max_connections=connections_max,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
            # What the URL says wins over the arguments above; these must stand. By default each
            # new connection looks its driver's version up in a file: without a descriptor left
            # that fails, and takes the pool's place of the connection with it for ever.
            pool.connection_kwargs |= {"protocol": 2, "driver_info": None}
            if issubclass(pool.connection_class, redis.SSLConnection):
                if tls is not None:
                    tls.check()
                pool.connection_class = TlsConnection
                pool.connection_kwargs["files"] = tls
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError, RedisError):
            # Without the reason, which may quote a piece of the password.
            raise SettingsError(
                "REDIS_URL cannot be used; it must be like redis://user:password@host:6379/0, "
                "with special characters of the password percent-encoded"
            ) from None
        return cls(pool)

    def sibling(self, address: Address) -> "Node":
        """Return the node at another address of the same cluster, reached in the same way."""
        host, port = address
        pool = type(self._pool)(
            connection_class=self._pool.connection_class,
            max_connections=self._pool.max_connections,
            timeout=self._pool.timeout,
            **{**self._pool.connection_kwargs, "host": host, "port": port},
        )
        return Node(pool, monotonic=self._monotonic)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing has failed since it last answered."""
        return self._failure is None

    def pipeline(self, commands: Sequence[Command]) -> Pipeline:
        """Return an exchange, which sends the commands when it is entered."""
        return Pipeline(self, commands)

    def probe(self, *command: Argument) -> Reply:
        """Ask one thing, quickly or not at all, on a connection of its own.

        Returns:
            The reply, or the exception that stands in its place.
        """
        kwargs = {
            **self._pool.connection_kwargs,
            "socket_timeout": PROBE_S,
            "socket_connect_timeout": PROBE_S,
        }
        connection = None
        try:
            connection = self._pool.connection_class(**kwargs)
            connection.connect()
            connection.send_command(*command)
            return connection.read_response()
        except (RedisError, OSError) as error:
            return error
        finally:
            if connection is not None:
                connection.disconnect()

    def connect(self) -> Any:  # noqa: ANN401  (redis-py has no one type for it)
        """Return a connection of the pool.

        Raises:
            StorageUnavailableError: If there is none; nothing was sent then.
        """
        if not self.is_healthy:
            self._check_health()
        try:
            return self._pool.get_connection()
        except (RedisError, OSError) as error:
            if isinstance(error.__context__, Empty):
                # The pool says so, after a wait. Of the node it knows nothing.
                raise StorageUnavailableError(
                    f"all {self._pool.max_connections} connections to Redis are in use"
                ) from error
            raise self.failed(error, "no") from error

    def release(self, connection: Any) -> None:  # noqa: ANN401
        """Put a connection back into the pool."""
        if self._is_closed:
            connection.disconnect()
        self._pool.release(connection)

    def answered(self) -> None:
        """Note that it has just answered."""
        self._answered_at = self._monotonic()

    def failed(self, error: Exception, stored: Stored) -> StorageUnavailableError:
        """Note a failure, unless it answers others, and return it as an error of ours."""
        if not (is_slow(error) and self._monotonic() - self._answered_at < PROBE_S):
            self._failure = error
        return away(error, stored)

    def close(self) -> None:
        """Close all connections, those that are in use as soon as they are not."""
        self._is_closed = True
        self._pool.disconnect(inuse_connections=False)

    def _check_health(self) -> None:
        with self._probing:
            failure = self._failure
            if failure is None:
                return
            if self._monotonic() >= self._probe_due:
                reply = self.probe("PING")
                if not isinstance(reply, RedisError | OSError) or isinstance(reply, ResponseError):
                    self._failure = None
                    return
                self._failure = failure = reply
                self._probe_due = self._monotonic() + PROBE_PAUSE_S
            raise away(failure, "no")
