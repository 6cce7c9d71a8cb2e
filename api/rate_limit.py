"""How many requests a second one token may send, or one address where no token is good.

Each process counts for itself, in its memory. An answer that says no says when there will be a yes.

Source:
    ITU-T I.371, "generic cell rate algorithm": one number for each sender.
    IETF, "RateLimit header fields for HTTP": ``RateLimit`` and ``RateLimit-Policy``; clients of
    its first versions look for ``RateLimit-Limit``, ``-Remaining`` and ``-Reset``.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Any, TypeVar

from api.access import Access
from api.cross_site import AllowedOrigins, is_preflight
from api.exposition import NO_ROUTE, PROBES, RequestSeries
from api.server.address import forwarded_for, network_of
from api.server.request_id import named_request
from metrics.problem import PROBLEM_JSON, problem_json
from metrics.settings import Settings

SENDERS_MAX = 10_000
"""How many senders are remembered: with more, those that have not come for longest begin anew."""

ROUNDING_S = 1e-9
"""What adding up may have lost."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

App = TypeVar("App", bound=WSGIApp)


class Rate:
    """Lets each sender do something so many times a second, and as many at once.

    Args:
        per_second: How many times.
        now: The clock, in seconds.
    """

    def __init__(self, per_second: int, now: Callable[[], float] = monotonic) -> None:
        self.per_second = per_second
        self._interval_s = 1.0 / per_second
        self._ahead_max_s = 1.0 - self._interval_s
        self._now = now
        # When each would be due again if it had kept to its rate from the beginning; the one that
        # has not come for longest is first. A plain dict would look for its first for long.
        self._due: OrderedDict[str, float] = OrderedDict()

    def take(self, sender: str) -> float:
        """Count one more of a sender; return in how many seconds it may come, 0.0 if now."""
        now = self._now()
        due = self._due.get(sender)
        ahead_s = 0.0 if due is None or due < now else due - now
        wait_s = ahead_s - self._ahead_max_s
        is_refused = wait_s > ROUNDING_S
        if not is_refused:
            self._due[sender] = now + ahead_s + self._interval_s
        if due is not None:
            self._due.move_to_end(sender)
        elif len(self._due) > SENDERS_MAX:
            self._due.popitem(last=False)
        return wait_s if is_refused else 0.0


def limited(
    app: App, settings: Settings, *, access: Access, requests: RequestSeries
) -> "App | RateLimited":
    """Return an app with the rate that the settings allow; as it is, if they allow any."""
    if settings.requests_per_second is None:
        return app
    rate = Rate(settings.requests_per_second)
    return RateLimited(
        app,
        rate,
        access=access,
        requests=requests,
        proxies=settings.proxies,
        origins=AllowedOrigins(settings.allowed_origins) if settings.allowed_origins else None,
    )


class RateLimited:
    """A WSGI app, each of whose senders may ask so many times a second.

    Probes may always, and browsers what a page may send.

    Args:
        app: The app.
        rate: How many times.
        access: Knows tokens.
        requests: Counts the answers that are given here.
        proxies: How many stand in front and say for whom they ask.
        origins: Whose pages may read the answers; none if it is not given.
    """

    def __init__(
        self,
        app: WSGIApp,
        rate: Rate,
        *,
        access: Access,
        requests: RequestSeries,
        proxies: int = 0,
        origins: AllowedOrigins | None = None,
    ) -> None:
        self._app = app
        self._rate = rate
        self._access = access
        self._requests = requests
        self._proxies = proxies
        self._origins = origins

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] not in PROBES and not is_preflight(environ):
            wait_s = self._rate.take(self._sender(environ))
            if wait_s:
                return self._refuse(wait_s, environ, start_response)
        return self._app(environ, start_response)

    def _sender(self, environ: dict[str, Any]) -> str:
        if not self._access.is_open:
            grant = self._access.find(environ.get("HTTP_AUTHORIZATION", ""))
            if grant is not None:
                return grant.token_id
        address = environ.get("REMOTE_ADDR", "")
        if self._proxies:
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
            address = forwarded_for(forwarded, self._proxies) or address
        return network_of(address)

    def _refuse(
        self, wait_s: float, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        limit, again_s = self._rate.per_second, ceil(wait_s)
        content = problem_json(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"This sender may ask {limit} times a second; send fewer requests with more messages "
            f"in each, or again in {again_s} s.",
            stored="no",
            **named_request(),
        )
        self._requests.count(NO_ROUTE, HTTPStatus.TOO_MANY_REQUESTS.value, [0.0])
        start_response(
            "429 Too Many Requests",
            [
                ("Retry-After", str(again_s)),
                ("RateLimit-Policy", f'"requests";q={limit};w=1'),
                ("RateLimit", f'"requests";r=0;t={again_s}'),
                ("RateLimit-Limit", str(limit)),
                ("RateLimit-Remaining", "0"),
                ("RateLimit-Reset", str(again_s)),
                ("Content-Type", PROBLEM_JSON),
                ("Content-Length", str(len(content))),
                *(self._origins.headers(environ) if self._origins else ()),
            ],
        )
        return (content,)
