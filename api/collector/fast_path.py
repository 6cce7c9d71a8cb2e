"""The fast path: plain posts are answered without Falcon around them.

Most requests of apps that send their messages one by one are the same: JSON, all of it there. This
knows how such a request goes well, and how Redis may fail it. Whatever is different, or is at fault
itself, takes the regular path through Falcon, which can say what is wrong with it; so an answer
here is the one that would be given there.
"""

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from typing import Any

from api.access import Access, Grant
from api.collector.fast_posts import Answer, FastPosts

DECLINED = "shortcut.declined"
"""In an environ: ``FastPosts.take`` was asked already, and has no answer."""

BODY_BYTES_MAX = 131_072
"""How long a body may be here: not so long that its messages would have to be counted first."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_REGULAR = {
    "HTTP_CONTENT_ENCODING",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_ORIGIN",
    "HTTP_SEC_FETCH_SITE",
}
"""Headers that the regular path looks at."""


class FastPath:
    """The collector as a WSGI app, with the fast path in front of Falcon.

    It is for a server where each request has a greenlet.

    Args:
        app: Falcon's.
        posts: Takes what is plain.
        access: Who may write which keys.
        body_max_bytes: How long a body may be.
        has_host: Returns whether a Host header names this service.
    """

    def __init__(
        self,
        app: WSGIApp,
        posts: FastPosts,
        *,
        access: Access,
        body_max_bytes: int,
        has_host: Callable[[str | None], bool],
    ) -> None:
        self._app = app
        self._posts = posts
        self._access = access
        self._body_max_bytes = min(body_max_bytes, BODY_BYTES_MAX)
        self._has_host = has_host

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer a request."""
        request = environ["wsgi.input"]
        is_new = DECLINED not in environ and getattr(request, "is_complete", False)
        grant = self._grant_of(environ) if is_new else None
        if grant:
            body = request.read()
            key = environ.get("HTTP_IDEMPOTENCY_KEY")
            answer = (
                self._posts.take(body, grant)
                if key is None
                else self._posts.take_once(body, grant, key)
            )
            if answer:
                status, headers, content = answer
                start_response(status, headers)
                return (content,)
            environ["wsgi.input"] = BytesIO(body)
        return self._app(environ, start_response)

    def shortcut(self, environ: dict[str, Any]) -> Callable[[bytes], Answer | None] | None:
        """Return what answers any request with this head by its body; None if nothing does.

        Args:
            environ: What the head says.
        """
        grant = None if "HTTP_IDEMPOTENCY_KEY" in environ else self._grant_of(environ)
        return partial(self._posts.take, grant=grant) if grant else None

    def _grant_of(self, environ: dict[str, Any]) -> Grant | None:
        """Return what a request may do if it is plain; None if Falcon has to look at it."""
        if (
            environ["REQUEST_METHOD"] == "POST"
            and environ["PATH_INFO"] == "/messages"
            and environ.get("CONTENT_TYPE") == "application/json"
            and _REGULAR.isdisjoint(environ)
            and self._has_host(environ.get("HTTP_HOST"))
            and int(environ.get("CONTENT_LENGTH") or 0) <= self._body_max_bytes
        ):
            return self._access.find(environ.get("HTTP_AUTHORIZATION", ""))
        return None
