"""ASGI middleware: records how long each request takes, to the end of its answer.

Source:
    ASGI specification 3.0, "HTTP & WebSocket" 2.5, and its extensions "Path Send" and "Zero Copy
    Send".
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from metrics.client.client import Client
from metrics.client.request_times import RequestTimes

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_BODIES = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})
"""The events that carry the body, or say where it is; without ``more_body`` they end it."""


class ASGIMiddleware:
    """An ASGI app that records each HTTP request of another, in milliseconds.

    A request is over when the last part of its body was sent: what the app still does in the
    background does not count. If that part never comes, it is over when the app is. WebSockets and
    the lifespan pass untouched.

    Args:
        app: The app.
        client: What records; None for one from the environment.
        key: The key of all requests, or what returns the key of one from its scope when it is
            over, and None to leave it out. None for the client's own key.
        clock: Seconds, from any beginning.

    Raises:
        ValueError: If there is no key, or it is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        client: Client | None = None,
        *,
        key: str | Callable[[Scope], str | None] | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._app = app
        self._clock = clock
        self._times: RequestTimes[Scope] = RequestTimes(client, key, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the app does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s = self._clock()
        is_over = False

        async def send_and_notice(event: Event) -> None:
            nonlocal is_over
            await send(event)
            if not is_over and event["type"] in _BODIES and not event.get("more_body"):
                is_over = True
                self._times.record(scope, begun_s)

        try:
            await self._app(scope, receive, send_and_notice)
        finally:
            if not is_over:
                is_over = True
                self._times.record(scope, begun_s)
