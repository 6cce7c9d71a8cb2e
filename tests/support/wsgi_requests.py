"""WSGI apps are asked without a server, and small ones are made to be asked."""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from wsgiref.handlers import SimpleHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

from tests.conftest import Clock

PLAIN = (("Content-Type", "text/plain"),)


def request(app: WSGIApplication, **environ: str) -> bytes:
    """Return the answer to one request as a plain server sends it, but for its date."""
    setup_testing_defaults(environ)
    environ.setdefault("QUERY_STRING", "")
    sent, errors = io.BytesIO(), io.StringIO()
    server = SimpleHandler(io.BytesIO(), sent, errors, environ)
    server.run(app)
    assert errors.getvalue() == ""
    return re.sub(rb"Date: [^\r]*\r\n", b"", sent.getvalue())


def answering(
    chunks: Iterable[bytes], began: Callable[[], object] = lambda: None
) -> WSGIApplication:
    """Return an app that answers with an iterable, after something has happened."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began()
        start_response("200 OK", list(PLAIN))
        return chunks

    return app


class Chunks:
    """An iterable that notes what is done with it.

    Attributes:
        closed: How often it was closed.
    """

    def __init__(self, chunks: Iterable[bytes | Exception], clock: Clock | None = None) -> None:
        self._chunks = iter(chunks)
        self._clock = clock
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        """Return itself, as files do."""
        return self

    def __next__(self) -> bytes:
        """Return a chunk after a second, or raise it."""
        if self._clock is not None:
            self._clock.seconds += 1
        chunk = next(self._chunks)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def close(self) -> None:
        """Count the call."""
        self.closed += 1


def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
    """Accept any status and headers, as start_response."""
