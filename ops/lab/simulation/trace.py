"""What happened in a schedule, in its order; the same for the same seed, to the letter."""

import re
from dataclasses import dataclass

from metrics.connection import Script
from metrics.node import Command, Reply

_ENTRY_ID = re.compile(r"\b\d{13}-\d+\b")
_SCRIPTS = {
    Script.named(name).sha1: f"{name}.lua"
    for name in ("append", "commit", "dead_letter", "delete_idle_consumers", "audit")
}
_WORDS_SHOWN = 8
_LENGTH_SHOWN = 48


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened: a command that Redis did, a fault, or a complaint.

    Attributes:
        step: When.
        who: The process that sent the command; what kind of thing it was otherwise.
        what: The command; or what it was.
        reply: What Redis answered.
    """

    step: int
    who: str
    what: Command
    reply: Reply = None


def lines_of(records: list[Record]) -> list[str]:
    """Return records as text. Ids of entries, which are of the true time, become numbers."""
    ids: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return ids.setdefault(found[0], f"#{len(ids) + 1}")

    return [_ENTRY_ID.sub(numbered, _line_of(record)) for record in records]


def _line_of(record: Record) -> str:
    words = [_text(word) for word in record.what[:_WORDS_SHOWN]]
    line = f"{record.step:5} {record.who}: {' '.join(_SCRIPTS.get(word, word) for word in words)}"
    # How long an entry has been pending is of the true time, too.
    return line if words[0] == "XPENDING" else f"{line} -> {_shown(record.reply)}"


def _shown(reply: Reply) -> str:
    if isinstance(reply, list):
        return f"[{', '.join(_shown(item) for item in reply)}]"[:_LENGTH_SHOWN]
    if isinstance(reply, Exception):
        return f"{type(reply).__name__} {reply}"[:_LENGTH_SHOWN]
    return _text(reply)


def _text(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.splitlines()[0][:_LENGTH_SHOWN] if text else "''"
