"""What a collector's answer says of a batch, or of the way that it took.

Of the batch says only what a collector of ours says: that it takes it, or that the batch itself is
at fault. Whatever else comes back is said of the way: a wrong URL or token, a proxy in front, or
something else that listens there. That can be mended, so no value is lost for it.
"""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from metrics.client.connection import Answer

_BUSY = {429, 502, 503, 504}
_ABOUT_THE_BATCH = {400, 422}
_ABOUT_EACH_KEY = {403, 429}
_TOO_LARGE = 413
_DETAIL_LENGTH_MAX = 300

_HINTS = {
    301: "give the client the URL that it redirects to",
    302: "give the client the URL that it redirects to",
    303: "give the client the URL that it redirects to",
    307: "give the client the URL that it redirects to",
    308: "give the client the URL that it redirects to",
    400: "is the URL that of a collector, and not http where https is meant?",
    401: "is the client's token (METRICS_TOKEN) one of the collector's METRICS_WRITE_TOKENS?",
    403: "is the client's token (METRICS_TOKEN) one of the collector's METRICS_WRITE_TOKENS?",
    404: "is the URL that of a collector? Messages are posted to /messages below it",
    405: "is the URL that of a collector? Messages are posted to /messages below it",
    413: "does a proxy limit the length of bodies? Let it take more, or set a smaller batch_size",
    421: "is the name in the URL one of the collector's METRICS_ALLOWED_HOSTS?",
}
_HINT = "this is no collector's answer; is the URL that of a collector?"


class Outcome(Enum):
    """What became of a batch."""

    ACCEPTED = "accepted"
    """It counts."""

    REFUSED = "refused"
    """It is at fault: sent again it would be refused again."""

    TOO_LARGE = "too large"
    """It is at fault for its length: whoever says so, a collector or a proxy, goes on saying it."""

    UNAVAILABLE = "unavailable"
    """Something behind the collector is away; another collector, or later."""

    UNEXPECTED = "unexpected"
    """The way there is at fault: another collector, or later, when somebody has mended it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of a batch now.

    Attributes:
        outcome: What became of it.
        rejected: How many of its values were not taken.
        detail: Why, for people; empty if all is well.
        is_stored: Whether it may be; False if it certainly is not.
        accepted: How many messages a collector says that it took; a sampled value is several.
    """

    outcome: Outcome
    rejected: int = 0
    detail: str = ""
    is_stored: bool = True
    accepted: int = 0


def classify(answer: Answer, values: int) -> Result:
    """Return what an answer says of a batch of so many values."""
    parsed = _object(answer.body)
    status = answer.status
    if status == 202 or (status == 200 and "accepted" in parsed):
        rejected = min(_count(parsed, "rejected"), values)
        detail = _first_error(parsed) if rejected else ""
        return Result(Outcome.ACCEPTED, rejected, detail, accepted=_count(parsed, "accepted"))
    detail = _shown(f"{status} {parsed.get('detail') or parsed.get('title') or ''}".strip())
    if status in _BUSY and not _is_about_the_batch(status, parsed):
        is_stored = status != 429 and parsed.get("stored") != "no"
        return Result(Outcome.UNAVAILABLE, detail=detail, is_stored=is_stored)
    if status == _TOO_LARGE:
        return Result(Outcome.TOO_LARGE, values, _with_hint(detail, status), is_stored=False)
    if _is_about_the_batch(status, parsed):
        return Result(Outcome.REFUSED, values, _with_hint(detail, status), is_stored=False)
    # Nothing is stored by a redirection or a client error (RFC 9110, sections 15.4 and 15.5).
    return Result(
        Outcome.UNEXPECTED, detail=_with_hint(detail, status), is_stored=not 300 <= status < 500
    )


def _shown(detail: str) -> str:
    # A lone surrogate, which JSON may have, cannot be printed.
    return detail[:_DETAIL_LENGTH_MAX].encode("utf-8", "replace").decode()


def _is_about_the_batch(status: int, parsed: dict[str, Any]) -> bool:
    if status in _ABOUT_THE_BATCH:
        return "detail" in parsed or "title" in parsed
    # None of its keys is this token's, or all are new and have no room: with others among them,
    # these would be rejected as well.
    return status in _ABOUT_EACH_KEY and isinstance(parsed.get("rejected"), int)


def _with_hint(detail: str, status: int) -> str:
    is_explained = status in _ABOUT_THE_BATCH and " " in detail
    return detail if is_explained else f"{detail}: {_HINTS.get(status, _HINT)}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _count(parsed: dict[str, Any], name: str) -> int:
    count = parsed.get(name)
    return max(count, 0) if type(count) is int else 0


def _first_error(parsed: dict[str, Any]) -> str:
    try:
        return _shown(str(parsed["errors"][0]["detail"]))
    except (KeyError, IndexError, TypeError):
        return "no reason given"
