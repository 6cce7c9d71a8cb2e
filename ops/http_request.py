"""Requests, as they come in pieces over a connection: environs of WSGI and their bodies.

The parser is that of Node.js (llhttp, by ``httptools``) in its strict mode, so that what two
readers might read in two ways is refused.

Source:
    RFC 9112; PEP 3333, "environ Variables".
"""

from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

Shortcut = Callable[[bytes], Answer | Exception | None]
"""Answers a request by its body alone; or returns a note for the app, which then answers."""

NOTE = "shortcut.note"
"""Where an environ has that note."""

_HEAD_END = b"\r\n\r\n"
_KNOWN_MAX = 1000
_KNOWN_BYTES_MAX = 1000

_UNKNOWN = {
    "HTTP_EXPECT",
    "HTTP_IDEMPOTENCY_KEY",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_UPGRADE",
}
"""Headers of heads that are not remembered: they come once only, or say more than a length."""


class NotHTTPError(Exception):
    """What came is no request, or can be read in two ways."""


class Request:
    """One request; it is ``wsgi.input`` of its environ.

    Attributes:
        environ: Of WSGI.
        is_whole: Whether all of it has come.
        is_last: Whether the connection ends with it.
    """

    __slots__ = ("_chunks", "_length", "_more", "environ", "is_last", "is_whole")

    def __init__(self, environ: Environ, more: Callable[["Request"], None]) -> None:
        """Begin.

        Args:
            environ: What all requests have in common.
            more: Reads on; raises OSError at the end of the connection.
        """
        self.environ = environ
        self.is_whole = False
        self.is_last = False
        self._chunks: list[bytes] = []
        self._length = 0
        self._more = more

    def add(self, chunk: bytes) -> None:
        """Add to its body."""
        self._chunks.append(chunk)
        self._length += len(chunk)

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes of the body or, if it has fewer, all; -1 for all.

        Raises:
            OSError: If the connection ends before the body does, or what comes is no HTTP.
        """
        while not self.is_whole and (size < 0 or self._length < size):
            self._more(self)
        content = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if 0 <= size < len(content):
            content, rest = content[:size], content[size:]
            self._chunks, self._length = [rest], len(rest)
        else:
            self._chunks, self._length = [], 0
        return content


class KnownHeads:
    """Heads of requests that the parser has read: an app sends the same again and again.

    The same bytes mean the same, so they need not be read twice. For one process.

    Args:
        shortcut: Returns the shortcut for requests with a head, if the app has one.
    """

    def __init__(self, shortcut: Callable[[Environ], Shortcut | None] = lambda _: None) -> None:
        self._known: dict[bytes, tuple[Environ, int, Shortcut | None]] = {}
        self._shortcut = shortcut

    def find(self, data: bytes) -> tuple[Environ, bytes, Shortcut | None] | None:
        """Return the environ, the body and the shortcut of a request whose head is known.

        Args:
            data: What came where a request begins.

        Returns:
            None if its head is not known, or if there is more or less than one request.
        """
        end = data.find(_HEAD_END) + len(_HEAD_END)
        known = self._known.get(data[:end])
        if known is None:
            return None
        environ, length, shortcut = known
        return (environ, data[end:], shortcut) if len(data) == end + length else None

    def add(self, data: bytes, environ: Environ) -> None:
        """Remember the head of a request.

        Args:
            data: All of the request.
            environ: What the parser made of its head.
        """
        end = data.find(_HEAD_END) + len(_HEAD_END)
        length = len(data) - end
        # An empty line in front of a request is no head: what follows it has another length.
        is_head = environ.get("CONTENT_LENGTH", "0") == str(length)
        if not is_head or end > _KNOWN_BYTES_MAX or not _UNKNOWN.isdisjoint(environ):
            return
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[data[:end]] = environ, length, self._shortcut(environ)


class RequestReader:
    """Makes requests of bytes. Its methods ``on_...`` are called by the parser.

    Attributes:
        ready: Requests whose headers are there, in their order.
    """

    def __init__(
        self, environ: Environ, more: Callable[[Request], None], heads: KnownHeads
    ) -> None:
        """Begin.

        Args:
            environ: What all requests have in common.
            more: Reads on in the body of a request.
            heads: What is known of other connections.
        """
        self.ready: deque[Request] = deque()
        self._environ = environ
        self._more = more
        self._heads = heads
        self._parser = httptools.HttpRequestParser(self)
        self._coming = Request({}, more)
        self._is_between = True

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes in.

        Returns:
            The answer, if a shortcut has it; there is no request to be answered then.

        Raises:
            NotHTTPError: If they are not those of a request, whoever reads them.
        """
        if not self._is_between:
            self._parse(data)
            return None
        known = self._heads.find(data)
        if known is not None:
            environ, body, shortcut = known
            note = shortcut(body) if shortcut is not None else None
            if isinstance(note, tuple):
                return note
            request = Request({**self._environ, **environ}, self._more)
            request.environ["wsgi.input"] = request
            request.add(body)
            request.is_whole = True
            if shortcut is not None:
                request.environ[NOTE] = note
            self.ready.append(request)
            return None
        self._parse(data)
        request = self._coming
        if request.is_whole and not request.is_last and len(self.ready) == 1:
            own = request.environ.keys() - self._environ.keys() - {"wsgi.input"}
            self._heads.add(data, {name: request.environ[name] for name in own})
        return None

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows is in another protocol, which we do not speak.
            self._coming.is_last = True
        except httptools.HttpParserError as error:
            raise NotHTTPError(f"This is not HTTP: {error.__context__ or error}.") from error

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_between = False
        self._coming = Request(self._environ.copy(), self._more)

    def on_url(self, url: bytes) -> None:
        """Note what is asked for."""
        environ = self._coming.environ
        if url[:1] != b"/":
            parts = urlsplit(url)
            url = parts.path + (b"?" + parts.query if parts.query else b"")
        path, _, query = url.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["PATH_INFO"] = path.decode("latin-1") or "/"
        environ["QUERY_STRING"] = query.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        environ = self._coming.environ
        field = _FIELDS.get(name) or _field_of(name)
        text = value.decode("latin-1").strip(" \t")
        if field in environ:
            text = f"{environ[field]},{text}"
        if field == "HTTP_TRANSFER_ENCODING" and text.lower() != "chunked":
            raise ValueError("Transfer-Encoding must be chunked, and told once")
        if field:
            environ[field] = text

    def on_headers_complete(self) -> None:
        """Let the request be answered."""
        request, parser = self._coming, self._parser
        version = parser.get_http_version()
        request.environ["REQUEST_METHOD"] = parser.get_method().decode()
        request.environ["SERVER_PROTOCOL"] = f"HTTP/{version}"
        request.environ["wsgi.input"] = request
        request.is_last = version != "1.1" or not parser.should_keep_alive()
        self.ready.append(request)

    def on_body(self, chunk: bytes) -> None:
        """Add to the body."""
        self._coming.add(chunk)

    def on_message_complete(self) -> None:
        """Note that all of it is there."""
        self._is_between = True
        self._coming.is_whole = True


def _field_of(name: bytes) -> str:
    """Return the name of a header in WSGI; empty for one that would look like another."""
    if b"_" in name:
        return ""
    text = name.decode("latin-1").upper().replace("-", "_")
    return text if text in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{text}"


_FIELDS = {
    name: _field_of(name)
    for each in (
        *("host", "user-agent", "accept", "accept-encoding", "connection", "content-type"),
        *("content-length", "content-encoding", "authorization", "idempotency-key"),
    )
    for name in (each.encode(), each.title().encode())
}
"""Those that nearly all requests have, as nearly all clients write them."""
