"""One request as the app gets it: the environ of WSGI, and a body that is read as it comes."""

from collections.abc import Callable

from api.server.chunked import ChunkedDecoder
from api.server.head import BadRequestError, Environ, Head


class Request:
    """One request; it is ``wsgi.input`` of its environ.

    Args:
        environ: All of its environ.
        head: What its head says.
        data: What came behind the head.
        more: Reads on in the connection; raises OSError at its end.

    Attributes:
        environ: Of WSGI.
        is_complete: Whether all of its body has come.
        closes: Whether the connection ends with it.
        is_broken: Whether its body has no end that could be found.
        rest: What came behind its body.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_length",
        "_missing",
        "_more",
        "closes",
        "environ",
        "is_broken",
        "is_complete",
        "rest",
    )

    def __init__(
        self, environ: Environ, head: Head, data: bytes, more: Callable[["Request"], bytes]
    ) -> None:
        self.environ = environ
        self.closes = head.closes
        self.is_complete = False
        self.is_broken = False
        self.rest = b""
        self._more = more
        self._chunks: list[bytes | bytearray] = []
        self._length = 0
        self._chunked = ChunkedDecoder() if head.length is None else None
        self._missing = head.length or 0
        environ["wsgi.input"] = self
        self._take(data)

    @property
    def is_chunked(self) -> bool:
        """Whether its body comes in chunks."""
        return self._chunked is not None

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes of the body or, if it has fewer, all; -1 for all.

        Raises:
            OSError: If the connection ends before the body does, or what comes is no HTTP.
        """
        while not self.is_complete and (size < 0 or self._length < size):
            self._take_more()
        content = bytes(self._chunks[0]) if len(self._chunks) == 1 else b"".join(self._chunks)
        if 0 <= size < len(content):
            content, rest = content[:size], content[size:]
            self._chunks, self._length = [rest], len(rest)
        else:
            self._chunks, self._length = [], 0
        return content

    def drain(self) -> None:
        """Take in what is left of the body, and keep nothing of it.

        Raises:
            OSError: As ``read`` does.
        """
        self._chunks, self._length = [], 0
        while not self.is_complete:
            self._take_more()
            self._chunks, self._length = [], 0

    def _take_more(self) -> None:
        try:
            self._take(self._more(self))
        except BadRequestError as error:
            self.is_broken = self.closes = True
            raise OSError(str(error)) from error
        except OSError:
            self.is_broken = self.closes = True
            raise

    def _take(self, data: bytes) -> None:
        chunk: bytes | bytearray
        if self._chunked is not None:
            chunk = self._chunked.feed(data)
            self.is_complete, self.rest = self._chunked.is_complete, self._chunked.rest
        else:
            chunk, self.rest = data[: self._missing], data[self._missing :]
            self._missing -= len(chunk)
            self.is_complete = not self._missing
        if chunk:
            # Small pieces are joined at once: each as an object of its own costs more than it has.
            last = self._chunks[-1] if self._chunks else None
            if isinstance(last, bytearray) and len(last) < 1_048_576:
                last += chunk
            else:
                self._chunks.append(bytearray(chunk) if self._missing or self._chunked else chunk)
            self._length += len(chunk)
