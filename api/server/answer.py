"""Answers as bytes.

Source:
    RFC 9112, sections 4 and 6.3; RFC 9110, section 6.6.1.
"""

from functools import lru_cache

Headers = list[tuple[str, str]]

_BODILESS = ("1", "204", "304")
"""How the statuses begin whose answers have no body."""


def written(
    status: str, headers: Headers, body: bytes, method: str, connection: str, date: bytes
) -> bytes:
    """Return an answer.

    Args:
        status: Its code and its phrase.
        headers: Those of the app.
        body: Left out where the method or the status has none.
        method: Of the request.
        connection: What the header Connection says; it is left out if this is empty.
        date: Of now, as HTTP writes it.

    Raises:
        ValueError: If a header has a line break.
    """
    has_body = method != "HEAD" and not status.startswith(_BODILESS)
    head = _head(status, tuple(headers), len(body) if has_body else None, connection)
    return b"%bDate: %b\r\n\r\n%b" % (head, date, body if has_body else b"")


@lru_cache(maxsize=256)
def _head(
    status: str, headers: tuple[tuple[str, str], ...], length: int | None, connection: str
) -> bytes:
    """Return the head of an answer without its date; remembered, as most answers have the same."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None and not any(name.lower() == "content-length" for name, _ in headers):
        lines.append(f"Content-Length: {length}")
    if connection:
        lines.append(f"Connection: {connection}")
    head = "\r\n".join(lines)
    if not head.count("\n") == head.count("\r") == len(lines) - 1:
        raise ValueError("a header with a line break")
    return f"{head}\r\n".encode("latin-1")
