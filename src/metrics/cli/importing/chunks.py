"""Chunks: a file in pieces that have the same names whenever it is read.

The name of a chunk is made of its bytes and of the name of the one before. So it says what the
chunk holds and where: the same lines elsewhere, or after others, are another chunk.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

LINE_BYTES_MAX = 1_048_576

_NAME_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of a file.

    Attributes:
        name: Its own: no other bytes have it, nor the same behind others.
        after: The name of the one before, or of the beginning.
        start: Where it begins, in bytes.
        data: Its bytes.
    """

    name: str
    after: str
    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + len(self.data)


def name_of_beginning(*options: str) -> str:
    """Return the name of what comes before the first byte.

    Args:
        options: How the file is read: read otherwise it has other messages.
    """
    return hashlib.sha256("\0".join(options).encode()).hexdigest()[:_NAME_LENGTH]


def known_chunk(
    file: BinaryIO, after: str, start: int, ends: Sequence[tuple[int, str]]
) -> Chunk | None:
    """Return the chunk at ``start`` if it is one of those that are known, else None.

    Args:
        file: The file.
        after: The name of the chunk before.
        start: Where to look.
        ends: End and name of each that may be there.
    """
    for end, name in sorted(ends, reverse=True):
        file.seek(start)
        data = file.read(end - start)
        if name == _name(after, data):
            return Chunk(name, after, start, data)
    return None


def next_chunk(file: BinaryIO, after: str, start: int, bytes_max: int) -> Chunk | None:
    """Return the chunk at ``start``: so many bytes, to the end of their last line; None at the end.

    Raises:
        ValueError: If a line has no end.
    """
    file.seek(start)
    data = file.read(bytes_max)
    if data and not data.endswith(b"\n"):
        rest = file.readline(LINE_BYTES_MAX)
        if len(rest) == LINE_BYTES_MAX and not rest.endswith(b"\n"):
            raise ValueError(f"a line after byte {start} has more than {LINE_BYTES_MAX} bytes")
        data += rest
    return Chunk(_name(after, data), after, start, data) if data else None


def without_open_line(chunk: Chunk) -> Chunk | None:
    """Return a chunk without a last line that has no end yet; None if nothing is left."""
    whole = chunk.data[: chunk.data.rfind(b"\n") + 1]
    if not whole:
        return None
    return Chunk(_name(chunk.after, whole), chunk.after, chunk.start, whole)


def _name(after: str, data: bytes) -> str:
    return hashlib.sha256(after.encode() + data).hexdigest()[:_NAME_LENGTH]
