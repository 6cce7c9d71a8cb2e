"""What a collector's answer says of a batch."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from metrics.client.wire import Answer

_AGAIN = {429, 502, 503, 504}
_DETAIL_LENGTH_MAX = 300


class Fate(Enum):
    """What became of a batch."""

    TAKEN = "taken"
    """It counts."""

    REFUSED = "refused"
    """It is at fault, or its sender: sent again it would be refused again."""

    AWAY = "away"
    """Something behind the collector is away; another collector, or later."""

    FAULTY = "faulty"
    """No collector should answer so: it may be something else that listens there."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a batch now.

    Attributes:
        fate: What became of it.
        rejected: How many of its values were not taken.
        detail: Why, for people; empty if all is well.
        is_stored: Whether it may be; False if it certainly is not.
    """

    fate: Fate
    rejected: int = 0
    detail: str = ""
    is_stored: bool = True


def judge(answer: Answer, values: int) -> Verdict:
    """Return what an answer says of a batch of so many values."""
    told = _object(answer.body)
    if answer.status == 202 or (answer.status == 200 and "accepted" in told):
        rejected = told.get("rejected")
        rejected = min(rejected, values) if isinstance(rejected, int) else 0
        return Verdict(Fate.TAKEN, rejected, _first_error(told) if rejected else "")
    detail = f"{answer.status} {told.get('detail') or told.get('title') or ''}".strip()
    detail = detail[:_DETAIL_LENGTH_MAX]
    if answer.status in _AGAIN:
        is_stored = answer.status != 429 and told.get("stored") != "no"
        return Verdict(Fate.AWAY, detail=detail, is_stored=is_stored)
    if 400 <= answer.status < 500:
        return Verdict(Fate.REFUSED, values, detail, is_stored=False)
    return Verdict(Fate.FAULTY, detail=detail)


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _first_error(told: dict[str, Any]) -> str:
    try:
        return str(told["errors"][0]["detail"])[:_DETAIL_LENGTH_MAX]
    except (KeyError, IndexError, TypeError):
        return "no reason given"
