"""The errors of the project: each exists because some caller acts differently."""

from typing import Literal

from metrics.shown import shown

Stored = Literal["no", "unknown"]
"""What is known of the messages of a failed append: not in Redis, or perhaps in Redis."""


_NOTHING = object()


class MetricsError(Exception):
    """Base of all errors of this project."""

    @property
    def public(self) -> str:
        """What may be shown to whoever asks over HTTP; ``str(error)`` is for the log."""
        return str(self)


class InvalidMessageError(MetricsError, ValueError):
    """A message that breaks a rule; it is dropped, counted and named to its sender.

    Its text is made when it is asked for: of thousands in a request 20 are shown.

    Args:
        rule: What a message must be, with a format of ``%`` for each of the bounds.
        bounds: What stands in the rule.
        got: What came instead, if it is to be shown.
    """

    def __init__(self, rule: str, *bounds: object, got: object = _NOTHING) -> None:
        super().__init__(rule, *bounds)
        self._got = got

    def __str__(self) -> str:
        """Return the rule, and what came instead."""
        rule, *bounds = self.args
        text: str = rule % tuple(bounds) if bounds else rule
        return text if self._got is _NOTHING else f"{text}, got {shown(self._got)}"

    def __repr__(self) -> str:
        """Return the same, as logs show it."""
        return f"{type(self).__name__}({str(self)!r})"


class InvalidQueryError(MetricsError, ValueError):
    """A question that cannot be asked; the text says what is allowed."""


class BacklogError(MetricsError):
    """Something that cannot be done while messages of its hour are in the backlog."""


class NoDataError(MetricsError, LookupError):
    """A key-hour without messages.

    Attributes:
        dropped: How many messages of it were dropped by their senders.
    """

    def __init__(self, detail: str, *, dropped: int = 0) -> None:
        super().__init__(detail)
        self.dropped = dropped


class EntryUnreadableError(MetricsError, ValueError):
    """An entry of a stream that is not one of ours; it goes to the dead stream."""


class StorageUnavailableError(MetricsError):
    """Redis is away, or refuses to do it now; worth trying again later.

    Attributes:
        stored: What is known of the command: certainly not done, or unknown.
    """

    def __init__(self, detail: str, *, stored: Stored = "no", public: str = "") -> None:
        super().__init__(detail)
        self.stored: Stored = stored
        self._public = public

    @property
    def public(self) -> str:
        """What may be shown over HTTP: not where Redis is, nor what it said."""
        return self._public or str(self)


class PartlyStoredError(StorageUnavailableError):
    """Some partitions of a batch have their messages, others could not take theirs.

    Sent again under the same idempotency key, only the rest counts.

    Attributes:
        partitions: Those whose messages are not stored, or may not be.
    """

    def __init__(self, detail: str, partitions: frozenset[int], *, public: str = "") -> None:
        super().__init__(detail, stored="unknown", public=public)
        self.partitions = partitions


class CollectorAwayError(MetricsError):
    """A collector that gave no answer; the client tries another, or again later.

    Attributes:
        is_unsent: Whether the request certainly did not reach it.
    """

    def __init__(self, detail: str, *, is_unsent: bool) -> None:
        super().__init__(detail)
        self.is_unsent = is_unsent


class IdempotencyConflictError(MetricsError):
    """An idempotency key that was used for another batch."""


class StorageUnsoundError(MetricsError):
    """Something in Redis is not what we keep there; nothing was changed."""


class KeyHourUnsoundError(StorageUnsoundError):
    """The hash of a key-hour is not what commits write, so it has no answer.

    Attributes:
        name: Of the hash.
        key: Its key.
        hour: Its hour, as in 2026-11-23T14.
        fault: What is wrong with it.
    """

    def __init__(self, name: str, *, key: str, hour: str, fault: str) -> None:
        super().__init__(f"{name} is not sound: {fault}")
        self.name = name
        self.key = key
        self.hour = hour
        self.fault = fault


class OverloadedError(MetricsError):
    """So much is being done at once that this must wait; worth trying again later."""


class GroupMissingError(MetricsError):
    """The consumer group of a stream is gone; it can be created again at 0."""


class UnexpectedReplyError(MetricsError):
    """Redis answered what it should not: a fault of ours, or of its version."""


class SettingsError(MetricsError):
    """A setting that cannot be used; the process must not start."""


class LayoutError(SettingsError):
    """Settings that differ from those the numbers in Redis were made with."""
