"""What the middleware adds to a request of an app: ``python -m ops.lab.bench.middleware``.

A trivial app, bare and wrapped, answers in turns within one process, without a server around it.
"""

import asyncio
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper

from tabulate import tabulate

from metrics.client.asgi import ASGIApp, ASGIMiddleware, Event, Receive, Scope, Send
from metrics.client.client import Client
from metrics.client.wsgi import WSGIMiddleware

REQUESTS = 5000
ROUNDS = 9
"""Together less than a batch of the client, so that it sends nothing meanwhile."""

ENVIRON: WSGIEnvironment = {"PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
SCOPE: Scope = {"type": "http", "path": "/"}
HEAD: Event = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Event = {"type": "http.response.body", "body": b"ok"}


def main() -> None:
    """Print a table: microseconds of a request, bare and wrapped, and the difference."""
    client = Client(
        "http://127.0.0.1:9",
        key="checkout.web-1",
        max_buffered=1_000_000,
        batch_size=100_000,
        flush_seconds=3600.0,
    )
    wsgi, asgi = WSGIMiddleware(_wsgi_app, client), ASGIMiddleware(_asgi_app, client)
    try:
        rows = [
            ("WSGI", *_medians(lambda: _wsgi_us(_wsgi_app), lambda: _wsgi_us(wsgi))),
            ("ASGI", *_medians(lambda: _asgi_us(_asgi_app), lambda: _asgi_us(asgi))),
        ]
    finally:
        client.close(timeout=0)
    print(tabulate(rows, ("app", "bare µs", "wrapped µs", "added µs"), floatfmt=".2f"))


def _medians(bare: Callable[[], float], wrapped: Callable[[], float]) -> tuple[float, ...]:
    pairs = [(bare(), wrapped()) for _ in range(ROUNDS)]
    bare_us, wrapped_us = (median(times) for times in zip(*pairs, strict=True))
    return bare_us, wrapped_us, wrapped_us - bare_us


def _wsgi_us(app: WSGIApplication) -> float:
    begun = perf_counter()
    for _ in range(REQUESTS):
        answer = app(ENVIRON, _start_response)
        for _chunk in answer:
            pass
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    return (perf_counter() - begun) / REQUESTS * 1e6


def _wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


def _start_response(*_: object) -> Callable[[bytes], object]:
    return len


def _asgi_us(app: ASGIApp) -> float:
    async def ask() -> float:
        begun = perf_counter()
        for _ in range(REQUESTS):
            await app(SCOPE, _receive, _send)
        return (perf_counter() - begun) / REQUESTS * 1e6

    return asyncio.run(ask())


async def _asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send(HEAD)
    await send(BODY)


async def _receive() -> Event:
    return {"type": "http.request"}


async def _send(event: Event) -> None:
    """Take it."""


if __name__ == "__main__":
    main()
