"""Answers as bytes.

Source:
    RFC 9112, sections 4 and 6.3; RFC 9110, section 6.6.1.
"""

from functools import lru_cache
from http import HTTPStatus

from metrics.problem import PROBLEM_JSON, problem_json

SAFE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)
"""What every answer has, unless the app says something else: no browser takes it for a page."""

Headers = list[tuple[str, str]]

_BODILESS = ("1", "204", "304")
"""How the statuses begin whose answers have no body."""


def written(
    status: str,
    headers: Headers,
    body: bytes,
    method: str,
    connection: str,
    date: bytes,
    request_id: bytes,
) -> bytes:
    """Return an answer.

    Args:
        status: Its code and its phrase.
        headers: Those of the app.
        body: Left out where the method or the status has none.
        method: Of the request.
        connection: What the header Connection says; it is left out if this is empty.
        date: Of now, as HTTP writes it.
        request_id: What the request is called.

    Raises:
        ValueError: If a header has a line break.
    """
    has_body = method != "HEAD" and not status.startswith(_BODILESS)
    head = _head(status, tuple(headers), len(body) if has_body else None, connection)
    return b"".join((head, request_id, b"\r\nDate: ", date, b"\r\n\r\n", body if has_body else b""))


def refusal(status: HTTPStatus, detail: str, request_id: bytes) -> tuple[Headers, bytes]:
    """Return headers and body of an answer that says why the server itself refuses a request."""
    headers = [("Content-Type", PROBLEM_JSON)]
    members = {"request_id": request_id.decode()}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        # The app has not been asked. A client to which nobody says so takes it for perhaps stored.
        headers.append(("Retry-After", "1"))
        members["stored"] = "no"
    return headers, problem_json(status, detail, **members)


@lru_cache(maxsize=256)
def _head(
    status: str, headers: tuple[tuple[str, str], ...], length: int | None, connection: str
) -> bytes:
    """Return the head of an answer up to what is new each time: most answers have the same."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name}: {value}" for name, value in headers]
    said = {name.lower() for name, _ in headers}
    lines += [f"{name}: {value}" for name, value in SAFE_HEADERS if name.lower() not in said]
    if length is not None and "content-length" not in said:
        lines.append(f"Content-Length: {length}")
    if connection:
        lines.append(f"Connection: {connection}")
    head = "\r\n".join(lines)
    if not head.count("\n") == head.count("\r") == len(lines) - 1:
        raise ValueError("a header with a line break")
    return f"{head}\r\nX-Request-Id: ".encode("latin-1")
