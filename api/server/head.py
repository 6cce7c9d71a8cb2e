"""Heads of requests: all that stands before the empty line.

A head is parsed when all of it is there, by a parser of its own. So it means the same wherever TCP
has cut it. The parser is that of Node.js (llhttp, by ``httptools``) in its strict mode: what two
readers might read in two ways is refused.

Source:
    RFC 9110, RFC 9112; PEP 3333, "environ Variables".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

Environ = dict[str, Any]

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

Shortcut = Callable[[bytes], Answer | None]
"""Answers a request by its body alone; or returns None, and the app answers."""

DECLINED = "shortcut.declined"
"""What an environ has if its shortcut was asked, and had no answer."""

END = b"\r\n\r\n"

HEAD_BYTES_MAX = 65_536
"""How long a head may be."""

_KNOWN_MAX = 1000
_KNOWN_BYTES_MAX = 1000

_UNKNOWN = {"HTTP_EXPECT", "HTTP_IDEMPOTENCY_KEY", "HTTP_X_REQUEST_ID"}
"""Headers of heads that hardly come again."""

_VERSION = re.compile(rb"[^\r\n]* (HTTP/[0-9.]+)\r\n")
_HOST = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"  # RFC 3986, section 3.2.2
)


class BadRequestError(Exception):
    """What came is no request that can be answered as one.

    Attributes:
        status: What it is answered with.
    """

    def __init__(self, detail: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says.

    Attributes:
        environ: Its part of an environ of WSGI.
        length: How long the body is; None if it comes in chunks.
        closes: Whether the connection ends with this request.
        is_old: Whether it is of HTTP/1.0, whose connections end unless both sides say otherwise.
        shortcut: What may answer the request by its body alone.
    """

    environ: Environ
    length: int | None
    closes: bool
    is_old: bool
    shortcut: Shortcut | None = None


class HeadCache:
    """Reads heads, and remembers those that come again: an app sends the same with each message.

    The same bytes mean the same, so they are not parsed twice. For one process.

    Args:
        shortcut_of: Returns the shortcut for requests with an environ, if the app has one.

    Attributes:
        known: Those that are remembered, by their bytes.
    """

    def __init__(self, shortcut_of: Callable[[Environ], Shortcut | None] = lambda _: None) -> None:
        self._shortcut_of = shortcut_of
        self.known: dict[bytes, Head] = {}

    def forget(self) -> None:
        """Forget all heads, and what their shortcuts let in."""
        self.known.clear()

    def read(self, data: bytes) -> Head:
        """Return what a head says.

        Args:
            data: All of it, to the end of its empty line.

        Raises:
            BadRequestError: If it is none, or can be read in two ways.
        """
        known = self.known.get(data)
        if known is not None:
            return known
        head = _Parsed(data).head
        if len(data) > _KNOWN_BYTES_MAX or not _UNKNOWN.isdisjoint(head.environ):
            return head
        if len(self.known) >= _KNOWN_MAX:
            self.known.clear()
        shortcut = None if head.length is None else self._shortcut_of(head.environ)
        head = replace(head, shortcut=shortcut)
        self.known[data] = head
        return head


class Probe:
    """Looks at a head that is still coming: what is no HTTP is refused before its end comes."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Look at what came.

        Raises:
            BadRequestError: If it is not HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise _not_http(error) from error


class _Parsed:
    """One head, parsed. Its methods ``on_...`` are called by the parser."""

    def __init__(self, data: bytes) -> None:
        version = _VERSION.match(data)
        if version and version[1] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise BadRequestError(
                "This server speaks HTTP/1.1 and HTTP/1.0.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
            )
        self._environ: Environ = {}
        self._url = b""
        self._hosts = 0
        self._is_complete = False
        self._closes = False
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # It may be ignored: RFC 9110, section 7.8.
        except httptools.HttpParserError as error:
            raise _not_http(error) from error
        if not self._is_complete:
            raise BadRequestError("This is not HTTP: the head has no end.")
        self.head = self._checked()

    def _checked(self) -> Head:
        environ = self._environ
        if environ["SERVER_PROTOCOL"] not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadRequestError(
                "This server speaks HTTP/1.1 and HTTP/1.0.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
            )
        is_old = environ["SERVER_PROTOCOL"] == "HTTP/1.0"
        if self._hosts > 1 or not (self._hosts or is_old):
            raise BadRequestError("A request must have one Host header.")
        if not _HOST.fullmatch(environ.get("HTTP_HOST", "")):
            raise BadRequestError("The Host header must be a name or an address, and a port.")
        encoding = environ.get("HTTP_TRANSFER_ENCODING")
        if encoding is not None and (encoding.lower() != "chunked" or is_old):
            raise BadRequestError("Transfer-Encoding must be chunked, given once, and of HTTP/1.1.")
        self._set_target()
        length = None if encoding else int(environ.get("CONTENT_LENGTH", 0))
        return Head(environ, length, self._closes, is_old)

    def _set_target(self) -> None:
        url = self._url
        if url[:1] != b"/":
            try:
                parts = urlsplit(url)
            except ValueError as error:
                raise BadRequestError(f"The target is no URL: {error}.") from error
            url = parts.path + (b"?" + parts.query if parts.query else b"")
        path, _, query = url.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        self._environ["PATH_INFO"] = path.decode("latin-1") or "/"
        self._environ["QUERY_STRING"] = query.decode("latin-1")

    def on_url(self, url: bytes) -> None:
        """Note what is asked for, or more of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        field = _FIELDS.get(name) or _field_of(name)
        if not field:
            return
        text = value.decode("latin-1").strip(" \t")
        self._hosts += field == "HTTP_HOST"
        if field in self._environ:
            text = f"{self._environ[field]},{text}"
        self._environ[field] = text

    def on_headers_complete(self) -> None:
        """Note what the parser makes of all headers."""
        self._environ["REQUEST_METHOD"] = self._parser.get_method().decode()
        self._environ["SERVER_PROTOCOL"] = f"HTTP/{self._parser.get_http_version()}"
        self._closes = not self._parser.should_keep_alive()
        self._is_complete = True


def _not_http(error: Exception) -> BadRequestError:
    return BadRequestError(f"This is not HTTP: {error.__context__ or error}.")


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


def too_long() -> BadRequestError:
    """Return the error of a head that is too long."""
    return BadRequestError(
        f"The headers may have {HEAD_BYTES_MAX} bytes.",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    )
