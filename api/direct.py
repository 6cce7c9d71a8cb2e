"""The direct way: the plainest request of all is answered without Falcon around it.

Most requests of apps that send their messages one by one are the same: JSON, all of it there, no
token to check, no repetition to recognise. This knows only how such a request goes well. Whatever
is different, or goes wrong, is left to Falcon's way, which can say what it is; so an answer here is
the one that would be given there, to the byte.
"""

from collections.abc import Callable, Iterable
from io import BytesIO
from time import monotonic
from typing import Any

from api import plain_json
from api.draft import Draft
from metrics.errors import MetricsError
from metrics.stream import Batch

FAILURE = "metrics.failure"
"""In an environ: why Redis did not take the messages of the request, which was asked already."""

BODY_BYTES_MAX = 131_072
"""How long a body may be here: not so long that its messages would have to be counted first."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_ELSEWHERE = {"HTTP_IDEMPOTENCY_KEY", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING"}


class Direct:
    """The collector as a WSGI app, with the direct way in front of Falcon's."""

    def __init__(
        self,
        app: WSGIApp,
        *,
        draft: Callable[[float], Draft],
        append: Callable[[Batch, float], None],
        answered: Callable[[int, Draft], None],
        partitions: int,
        body_max_bytes: int,
        deadline_s: float,
        now: Callable[[], float],
    ) -> None:
        """Set it up, for a collector that asks for no token.

        Args:
            app: Falcon's way.
            draft: Makes the draft of a request that came at a time, in Unix seconds.
            append: Appends a batch, until a deadline on the monotonic clock.
            answered: Is told of each answer given here, by its status.
            partitions: How many there are.
            body_max_bytes: How long a body may be.
            deadline_s: How long a request waits for Redis.
            now: The clock that gives a message its hour, in Unix seconds.
        """
        self._app = app
        self._draft = draft
        self._append = append
        self._answered = answered
        self._partitions = partitions
        self._body_max_bytes = min(body_max_bytes, BODY_BYTES_MAX)
        self._deadline_s = deadline_s
        self._now = now

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer a request."""
        if not self._is_plain(environ):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read()
        draft = self._draft(self._now())
        if plain_json.read(body, draft) and draft.accepted:
            try:
                self._append(Batch(draft.columns(self._partitions)), monotonic() + self._deadline_s)
            except MetricsError as error:
                environ[FAILURE] = error
            else:
                self._answered(202, draft)
                answer = b'{"accepted":%d,"rejected":0}' % draft.accepted
                start_response("202 Accepted", _headers(len(answer)))
                return (answer,)
        environ["wsgi.input"] = BytesIO(body)
        return self._app(environ, start_response)

    def _is_plain(self, environ: dict[str, Any]) -> bool:
        return (
            environ["REQUEST_METHOD"] == "POST"
            and environ["PATH_INFO"] == "/messages"
            and environ.get("CONTENT_TYPE") == "application/json"
            and getattr(environ["wsgi.input"], "is_whole", False)
            and _ELSEWHERE.isdisjoint(environ)
            and int(environ.get("CONTENT_LENGTH") or 0) <= self._body_max_bytes
        )


def _headers(length: int) -> list[tuple[str, str]]:
    return [("content-length", str(length)), ("content-type", "application/json")]
