"""The times of requests, on their way from a middleware to the client."""

from collections.abc import Callable
from typing import Generic, TypeVar

from metrics.client.client import Client
from metrics.client.throttled_log import ThrottledLog
from metrics.message import check_key

Request = TypeVar("Request")
"""What describes a request: the environ of WSGI, the scope of ASGI."""


class RequestTimes(Generic[Request]):
    """Records how long requests took, and lets no error of ours out into the app.

    Args:
        client: What records; None for one from the environment.
        key: The key of all requests, or what returns the key of one when it is over, and None
            to leave it out. None for the client's own key.
        clock: Seconds, from any beginning.

    Raises:
        ValueError: If there is no key, or it is none.
    """

    __slots__ = ("_client", "_clock", "_key", "_key_of", "_throttled_log")

    def __init__(
        self,
        client: Client | None,
        key: str | Callable[[Request], str | None] | None,
        clock: Callable[[], float],
    ) -> None:
        self._client = Client() if client is None else client
        found = self._client.key if key is None else key
        if found is None:
            raise ValueError(
                "no key to record requests under: pass key= to the middleware, or set METRICS_KEY"
            )
        self._key_of = found if callable(found) else None
        self._key = None if callable(found) else check_key(found)
        self._clock = clock
        self._throttled_log = ThrottledLog(clock)

    def record(self, request: Request, begun_s: float) -> None:
        """Record a request that is over; never raises.

        Args:
            request: What a callable key is asked about.
            begun_s: When it began, on the same clock.
        """
        try:
            value_ms = (self._clock() - begun_s) * 1000.0
            key = self._key if self._key_of is None else self._key_of(request)
            if key is not None:
                self._client.record(key, value_ms)
        except Exception as error:  # noqa: BLE001  (a request must not fail for its time)
            self._throttled_log.warn("request", "a request was not recorded: %r", error)
