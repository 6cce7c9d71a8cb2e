"""Errors of Redis become errors of ours: what was certainly not done, and what is off.

Source:
    https://redis.io/docs/latest/develop/reference/protocol-spec/, "Simple errors".
"""

import re
from typing import Any

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from metrics.errors import (
    GroupMissingError,
    MetricsError,
    StorageUnavailableError,
    StorageUnsoundError,
    Stored,
    UnexpectedReplyError,
)

REFUSALS = (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)
"""Answers of a server that did not do the command, and may do it later."""

# What redis-py has no class for is known by its words, and Redis 6.2 says where in a script an
# error was before it says which, so they may stand anywhere.
_ALL_REFUSALS = (*REFUSALS, AskError, TryAgainError, ClusterDownError)
_REFUSED = re.compile(
    r"\b(OOM command not allowed|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|BUSY Redis|NOPERM)"
)
_UNSOUND = re.compile(r"\b(WRONGTYPE|UNSOUND)")


def ours(reply: Any, key: str | None) -> Any:  # noqa: ANN401  (whatever Redis replied)
    """Return a reply as it is, and an error of Redis as the error of ours that it means.

    Args:
        reply: What Redis replied, or an exception in its place.
        key: The first key of the call, if it has any.
    """
    return _error_of(reply, key) if isinstance(reply, RedisError) else reply


def _error_of(reply: RedisError, key: str | None) -> MetricsError:
    text = str(reply)
    if isinstance(reply, _ALL_REFUSALS) or _REFUSED.search(text):
        return StorageUnavailableError(
            f"Redis refuses: {text}", stored="no", public="Redis refuses to do it now"
        )
    if "NOGROUP" in text:
        return GroupMissingError(text)
    if _UNSOUND.search(text):
        # Redis names no key. A script names it, unless it is the first of its keys.
        is_named = key is None or "UNSOUND" in text
        return StorageUnsoundError(text if is_named else f"{key}: {text}")
    return UnexpectedReplyError(text)


def is_slow(error: Exception) -> bool:
    """Return whether an answer did not come in time."""
    return isinstance(error, RedisTimeoutError | TimeoutError)


def away(error: Exception, stored: Stored) -> StorageUnavailableError:
    """Return the error of a node that gives no answer.

    Args:
        error: How that was noticed.
        stored: What is known of the commands that it got.
    """
    unavailable = StorageUnavailableError(
        f"Redis is away: {error}",
        stored=stored,
        public="Redis does not answer in time" if is_slow(error) else "Redis is away",
    )
    unavailable.__cause__ = error
    return unavailable
