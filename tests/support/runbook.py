"""The runbook in docs/operations.md: its commands, and what they print in which state of Redis.

A block that begins with ```` ```sh runbook ```` has commands. The ```` ```text ```` blocks that
follow it show what they print; each names the state that it belongs to. In what they
show, ``<...>`` stands for what differs, and a line ``...`` for any lines.
"""

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from ops.lab.service import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")

HEALTHY = "healthy"

_BLOCK = re.compile(r"^```(\w+) ([a-z -]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHUNK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of the runbook.

    Attributes:
        commands: As they are pasted into a shell.
        shown: State of Redis -> what the page says that they print.
        on_cluster: Whether they are for a Redis Cluster only.
    """

    commands: str
    shown: Mapping[str, str]
    on_cluster: bool


def steps() -> list[Step]:
    """Return the commands of the page in its order."""
    found: list[tuple[str, dict[str, str], bool]] = []
    for language, mark, text in _BLOCK.findall(PAGE):
        if language == "sh" and mark.startswith("runbook"):
            found.append((text, {}, mark.endswith("cluster")))
        elif language == "text":
            found[-1][1][mark] = text
    return [Step(*each) for each in found]


def typed(commands: str, redis_cli: str) -> str:
    """Return what a person sees who types commands at a terminal.

    Args:
        commands: As the page has them.
        redis_cli: What to say instead of ``redis-cli``: it prints for people only at a terminal,
            which is why this makes one.
    """
    terminal, their_end = pty.openpty()
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", re.sub(r"\bredis-cli\b", redis_cli, commands)],
            stdin=subprocess.DEVNULL,
            stdout=their_end,
            stderr=their_end,
        ):
            os.close(their_end)
            return _read_all(terminal).decode().replace("\r\n", "\n")
    finally:
        os.close(terminal)


def fits(shown: str, printed: str) -> bool:
    """Return whether what was printed has the shape that the page shows; spaces do not count."""
    pattern = "".join(_line_pattern(line) for line in _lines(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _line_pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    return "(.+)".join(re.escape(part) for part in re.split(r"<[^<>]*>", line)) + r"\n"


def _read_all(terminal: int) -> bytes:
    """Read what is written to a terminal; once nobody has it any more, Linux says EIO."""
    read = b""
    try:
        while chunk := os.read(terminal, _CHUNK_BYTES):
            read += chunk
    except OSError:
        pass
    return read
