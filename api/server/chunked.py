"""Chunked bodies: decoded as they come, and nothing but their data is kept.

What stands around the data is bounded, since a sender could go on with it for ever. Chunk
extensions and trailers are read over: a trailer never becomes a header (RFC 9110, section 6.5.1).

Source:
    RFC 9112, section 7.1.
"""

import re

from api.server.head import BadRequestError

LINE_BYTES_MAX = 256
"""How long the line before a chunk may be, its extensions included."""

TRAILERS_BYTES_MAX = 1024
"""How long all trailers may be together."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class ChunkedDecoder:
    """Decodes one body.

    Attributes:
        is_complete: Whether its end has come.
        rest: What came behind its end.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self._coming = b""
        self._left = 0
        self._is_in_chunk = False
        self._is_in_trailers = False
        self._trailers_bytes = 0

    def feed(self, data: bytes) -> bytearray:
        """Take bytes in; return the data in them.

        Raises:
            BadRequestError: If it is no chunked body, or has too much around its data.
        """
        found = bytearray()
        data = self._coming + data
        at = 0
        while not self.is_complete:
            if self._left:
                part = data[at : at + self._left]
                found += part
                at += len(part)
                self._left -= len(part)
                if self._left:
                    break
            end = data.find(b"\r\n", at, at + LINE_BYTES_MAX + 2)
            if end < 0:
                self._check_incomplete(data[at:])
                break
            self._take_line(data[at:end])
            at = end + 2
        self._coming = b"" if self.is_complete else data[at:]
        self.rest = data[at:] if self.is_complete else b""
        return found

    def _take_line(self, line: bytes) -> None:
        if self._is_in_trailers:
            self._take_trailer(line)
        elif self._is_in_chunk:
            if line:
                raise BadRequestError("A chunk is longer than it says.")
            self._is_in_chunk = False
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise BadRequestError("A chunk must begin with its size.")
            self._left = int(size[1], 16)
            self._is_in_chunk = self._left > 0
            self._is_in_trailers = self._left == 0

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.is_complete = True
            return
        self._trailers_bytes += len(line) + 2
        if self._trailers_bytes > TRAILERS_BYTES_MAX or not _TRAILER.fullmatch(line):
            raise BadRequestError(
                f"Trailers must be headers, of {TRAILERS_BYTES_MAX} bytes at most in all."
            )

    def _check_incomplete(self, line: bytes) -> None:
        """Refuse what cannot become a line, whatever comes."""
        if len(line.removesuffix(b"\r")) > LINE_BYTES_MAX:
            raise BadRequestError(f"A line around chunks may have {LINE_BYTES_MAX} bytes.")
        if b"\n" in line or (self._is_in_chunk and line not in (b"", b"\r")):
            raise BadRequestError("A chunk is longer than it says, or a line ends without CR.")
