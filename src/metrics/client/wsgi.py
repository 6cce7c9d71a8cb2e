"""WSGI middleware: records how long each request takes, to the end of its answer.

Source:
    PEP 3333; "Buffering and Streaming" on the iterable and its close(), "Optional Platform-Specific
    File Handling" on wsgi.file_wrapper.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from time import perf_counter
from typing import cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from metrics.client.client import Client
from metrics.client.request_times import RequestTimes


class WSGIMiddleware:
    """A WSGI app that records each request of another, in milliseconds.

    A request is over when its answer has been taken to the end, closed, or given up with an
    exception. The app and the server see each other as before.

    Args:
        app: The app.
        client: What records; None for one from the environment.
        key: The key of all requests, or what returns the key of one from its environ when it
            is over, and None to leave it out. None for the client's own key.
        clock: Seconds, from any beginning.

    Raises:
        ValueError: If there is no key, or it is none.
    """

    def __init__(
        self,
        app: WSGIApplication,
        client: Client | None = None,
        *,
        key: str | Callable[[WSGIEnvironment], str | None] | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._app = app
        self._clock = clock
        self._times: RequestTimes[WSGIEnvironment] = RequestTimes(client, key, clock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as the app does."""
        begun_s = self._clock()
        try:
            chunks = self._app(environ, start_response)
        except BaseException:
            self._times.record(environ, begun_s)
            raise
        timed = _TimedSizedBody if hasattr(type(chunks), "__len__") else _TimedBody
        answer = timed(chunks, self._times, environ, begun_s)
        file_wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(file_wrapper, type) and isinstance(chunks, file_wrapper):
            # A server sends such a file by a short cut, which it takes for nothing but its own
            # class; it calls close() of that object, too.
            with suppress(AttributeError):
                chunks.close = answer.close  # type: ignore[attr-defined]
                return chunks
        return answer


class _TimedBody:
    """The answer of an app; notices its end."""

    __slots__ = ("_begun_s", "_chunks", "_close", "_environ", "_is_over", "_times")

    def __init__(
        self,
        chunks: Iterable[bytes],
        times: RequestTimes[WSGIEnvironment],
        environ: WSGIEnvironment,
        begun_s: float,
    ) -> None:
        self._chunks = chunks
        self._close: Callable[[], None] | None = getattr(chunks, "close", None)
        self._times = times
        self._environ = environ
        self._begun_s = begun_s
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        """Give the chunks of the app."""
        # Not "yield from": that would call close() of the app's iterator, which the server does.
        try:
            for chunk in self._chunks:  # noqa: UP028
                yield chunk
        finally:
            self._over()

    def close(self) -> None:
        """End the answer, whether all of it was taken or not."""
        self._over()
        if self._close is not None:
            self._close()

    def _over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._times.record(self._environ, self._begun_s)


class _TimedSizedBody(_TimedBody):
    """The answer of an app with a known number of chunks; with one, a server knows its length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._chunks))
