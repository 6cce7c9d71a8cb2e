"""The way to Redis: calls go out together, each comes back as a reply or as an error of ours.

Nothing is ever repeated here: a call whose reply is lost may have been done, and says so
(``stored="unknown"``). Only a script that the server does not know yet is sent again, since it
certainly did not run.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from metrics.errors import (
    GroupMissingError,
    MetricsError,
    SettingsError,
    StorageUnavailableError,
    StorageUnsoundError,
    Stored,
    UnexpectedReplyError,
)

WAIT_MS = 1000
"""How long replicas may take to have what was written."""

Argument = str | bytes | int | float
Reply = Any
"""What Redis answered: bytes, int, None, or a list of these."""

# A server that answers one of these did not do the command, and may do it later. What redis-py
# has no class for is known by its words, and Redis 6.2 says where in a script it met an error
# before it says which, so they may stand anywhere.
_REFUSALS = (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)
_REFUSED = re.compile(
    r"\b(OOM command not allowed|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|BUSY Redis|NOPERM)"
)
_UNSOUND = re.compile(r"\b(WRONGTYPE|UNSOUND)")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script of ours; its head lists KEYS, ARGV and the result."""

    text: str
    sha1: str

    @classmethod
    @cache
    def named(cls, name: str) -> Self:
        """Return the script in ``scripts/<name>.lua``."""
        text = resources.files("metrics").joinpath("scripts", f"{name}.lua").read_text("utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> "Call":
        """Return the call that runs this script."""
        return Call(("EVALSHA", self.sha1, len(keys), *keys, *arguments), self)


@dataclass(frozen=True, slots=True)
class Call:
    """One command to be sent.

    Attributes:
        arguments: The command and its arguments.
        script: The script that it runs, if it runs one.
    """

    arguments: tuple[Argument, ...]
    script: Script | None = None


def command(*arguments: Argument) -> Call:
    """Return the call of a plain command."""
    return Call(arguments)


class Connection:
    """A pool of connections to one Redis. Safe for threads and greenlets."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool

    @classmethod
    def open(cls, url: str, *, timeout_s: float, connections_max: int) -> Self:
        """Return the way to the Redis at ``url``; connects when first used.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            timeout_s: How long a connection, and then each reply, may take.
            connections_max: How many calls may be under way at once; more wait for their turn.

        Raises:
            SettingsError: If the URL is none.
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
            # What the URL says wins over the arguments above; this must stand.
            pool.connection_kwargs["protocol"] = 2
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError):
            # Not told why: the reason may quote a piece of the password.
            raise SettingsError(
                "REDIS_URL cannot be used; it must be like redis://user:password@host:6379/0, "
                "with special characters of the password percent-encoded"
            ) from None
        return cls(pool)

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list[Reply | MetricsError]:
        """Send all calls in one go and wait for their replies.

        Args:
            calls: What to send.
            replicas: How many replicas must have what the calls write.

        Returns:
            For each call what Redis replied, or the error that it met.
        """
        replies = self._confirmed([call.arguments for call in calls], replicas)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            self._load(calls[i].script for i in unknown)
            again = self._confirmed([calls[i].arguments for i in unknown], replicas)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return [_ours(reply) for reply in replies]

    def ask(self, call: Call) -> Reply:
        """Send one call and return its reply.

        Raises:
            MetricsError: Whatever error it met.
        """
        return done(self.execute([call])[0])

    def close(self) -> None:
        """Close all connections."""
        self._pool.disconnect()

    def _load(self, scripts: Iterable[Script | None]) -> None:
        texts = {script.text for script in scripts if script is not None}
        self._exchange([("SCRIPT", "LOAD", text) for text in texts])

    def _confirmed(self, commands: Sequence[tuple[Argument, ...]], replicas: int) -> list[Reply]:
        if not replicas:
            return self._exchange(commands)
        # On the connection of the writes: these are what WAIT counts the replicas of. It answers
        # with their number when its time is up, too.
        *replies, count = self._exchange([*commands, ("WAIT", replicas, WAIT_MS)])
        if isinstance(count, int) and count >= replicas:
            return replies
        unconfirmed = StorageUnavailableError(
            f"fewer than {replicas} replicas have it in time: {count}", stored="unknown"
        )
        return [reply if isinstance(reply, Exception) else unconfirmed for reply in replies]

    def _exchange(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        try:
            connection = self._pool.get_connection()
        except (RedisError, OSError) as error:
            return [_away(error, "no")] * len(commands)
        replies: list[Reply] = []
        try:
            packed = connection.pack_commands(commands)  # type: ignore[no-untyped-call]
            connection.send_packed_command(packed)  # type: ignore[no-untyped-call]
            for _ in commands:
                try:
                    replies.append(connection.read_response(disconnect_on_error=False))
                except (ResponseError, *_REFUSALS) as error:
                    replies.append(error)
        except (RedisError, OSError) as error:
            lost = _away(error, "unknown")
            replies += [lost] * (len(commands) - len(replies))
            connection.disconnect()  # type: ignore[no-untyped-call]
        except BaseException:
            # Killed while it waited: a late reply must never answer the next call.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        finally:
            self._pool.release(connection)
        return replies


def done(reply: Reply | MetricsError) -> Reply:
    """Return a reply, or raise the error that stands in its place.

    Raises:
        MetricsError: That error.
    """
    if isinstance(reply, MetricsError):
        raise reply
    return reply


def _away(error: Exception, stored: Stored) -> StorageUnavailableError:
    unavailable = StorageUnavailableError(f"Redis is away: {error}", stored=stored)
    unavailable.__cause__ = error
    return unavailable


def _ours(reply: Reply) -> Reply | MetricsError:
    """Return a reply as it is, and an error of Redis as the error of ours that it means."""
    if not isinstance(reply, RedisError):
        return reply
    text = str(reply)
    if isinstance(reply, _REFUSALS) or _REFUSED.search(text):
        return StorageUnavailableError(f"Redis refuses: {text}", stored="no")
    if "NOGROUP" in text:
        return GroupMissingError(text)
    if _UNSOUND.search(text):
        return StorageUnsoundError(text)
    return UnexpectedReplyError(text)
