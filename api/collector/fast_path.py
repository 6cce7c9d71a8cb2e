"""The fast path: the plainest request of all is answered without Falcon around it.

Most requests of apps that send their messages one by one are the same: JSON, all of it there, no
token to check, no repetition to recognise. This knows only how such a request goes well. Whatever
is different, or goes wrong, is left to Falcon, which can say what it is; so an answer here is
the one that would be given there, to the byte.
"""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from api.collector.fast_posts import FastPosts, Outcome

FAILURE = "shortcut.note"
"""In an environ: what ``FastPosts.take`` returned, if it was asked already and had no answer."""

BODY_BYTES_MAX = 131_072
"""How long a body may be here: not so long that its messages would have to be counted first."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_ELSEWHERE = {
    "HTTP_IDEMPOTENCY_KEY",
    "HTTP_CONTENT_ENCODING",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_ORIGIN",
    "HTTP_SEC_FETCH_SITE",
}


class FastPath:
    """The collector as a WSGI app, with the fast path in front of Falcon.

    It is for a collector that asks for no token, where each request has a greenlet.

    Args:
        app: Falcon's.
        posts: Takes what is plain.
        body_max_bytes: How long a body may be.
        has_host: Tells whether a Host header names this service.
    """

    def __init__(
        self,
        app: WSGIApp,
        posts: FastPosts,
        *,
        body_max_bytes: int,
        has_host: Callable[[str | None], bool],
    ) -> None:
        self._app = app
        self._posts = posts
        self._body_max_bytes = min(body_max_bytes, BODY_BYTES_MAX)
        self._has_host = has_host

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer a request."""
        request = environ["wsgi.input"]
        is_new = FAILURE not in environ and getattr(request, "is_complete", False)
        if is_new and self._is_plain(environ):
            body = request.read()
            outcome = self._posts.take(body)
            if isinstance(outcome, tuple):
                status, headers, answer = outcome
                start_response(status, headers)
                return (answer,)
            environ[FAILURE] = outcome
            environ["wsgi.input"] = BytesIO(body)
        return self._app(environ, start_response)

    def shortcut(self, environ: dict[str, Any]) -> Callable[[bytes], Outcome] | None:
        """Return what answers any request with this head by its body; None if nothing does.

        Args:
            environ: What the head says.
        """
        return self._posts.take if self._is_plain(environ) else None

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        return (
            environ["REQUEST_METHOD"] == "POST"
            and environ["PATH_INFO"] == "/messages"
            and environ.get("CONTENT_TYPE") == "application/json"
            and _ELSEWHERE.isdisjoint(environ)
            and self._has_host(environ.get("HTTP_HOST"))
            and int(environ.get("CONTENT_LENGTH") or 0) <= self._body_max_bytes
        )
