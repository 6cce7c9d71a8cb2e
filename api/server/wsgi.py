"""A WSGI app is asked, and its answer is taken as a whole.

Source:
    PEP 3333.
"""

from collections.abc import Callable, Iterable
from typing import Any

from api.server.answer import Headers
from api.server.head import Environ

WSGIApp = Callable[[Environ, Callable[..., object]], Iterable[bytes]]


def ask(app: WSGIApp, environ: Environ) -> tuple[str, Headers, bytes]:
    """Return status, headers and body of an app's answer; whatever it raises is raised."""
    started: list[Any] = []
    body: list[bytes] = []
    if environ["REQUEST_METHOD"] == "HEAD":
        # What GET would say, without the body: RFC 9110, section 9.3.2.
        environ["REQUEST_METHOD"] = "GET"

    def start_response(status: str, headers: Headers, _: object = None) -> object:
        started[:] = status, headers
        return body.append

    answer = app(environ, start_response)
    try:
        body.extend(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    status, headers = started
    return status, headers, b"".join(body)
