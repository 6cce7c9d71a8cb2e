"""What is wrong with messages of a request, and how an answer says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from metrics.errors import InvalidMessageError

ERRORS_SHOWN_MAX = 20

NEW_KEY = "new_key"

REASONS = ("key", "value", "timestamp", "dropped", "aggregate", "token", NEW_KEY, "form")
"""What may be wrong with a message that is rejected: a field of it, its sender's token, no room for
its key, or else its form."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message, a loss report or a client aggregate was not taken.

    Attributes:
        index: Its place in the request, from 0: each of them, and each ignored line, has one.
        detail: The rule it breaks, for its sender; or what keeps it from being stored now.
        retryable: Whether it is good, and may be sent again.
    """

    index: int
    detail: str
    retryable: bool = False


def kind_of(reason: InvalidMessageError | str) -> str:
    """Return which of the ``REASONS`` it is: a rule of a field begins with its name."""
    rule = str(reason.args[0]) if isinstance(reason, InvalidMessageError) else reason
    field = rule.partition(" ")[0].removesuffix("s")
    return field if field in REASONS else "form"


def shown_errors(errors: Sequence[Rejection]) -> list[dict[str, object]]:
    """Return rejections as they stand in an answer."""
    return [
        {"index": error.index, "detail": error.detail}
        | ({"retryable": True} if error.retryable else {})
        for error in errors
    ]
