"""Requests that browsers send for pages of other sites: refused first of all, unless allowed.

Source:
    WHATWG Fetch, "CORS protocol".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import falcon

from api.problems import Problem
from metrics.cross_site import CrossSiteRules
from metrics.settings import WILDCARD, Settings

ASKED_WITH = "Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-Request-Id"
"""The headers that a page may send."""

SHOWN = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Allow"
"""The headers of an answer that a page may read, besides those that it always may."""

PREFLIGHT_KEPT_S = 600
"""How long a browser need not ask again: short enough for an origin to be taken off the list."""


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Return whether a browser asks what a page may send."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and bool(
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    )


class CrossSiteCheck:
    """Falcon middleware that refuses what the rules refuse."""

    def __init__(self, rules: CrossSiteRules) -> None:
        self._rules = rules

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse a request, or do nothing.

        Raises:
            Problem: With 421 or 403.
        """
        refusal = self._rules.refusal(
            req.method,
            req.env.get("HTTP_HOST"),
            req.env.get("HTTP_ORIGIN"),
            req.env.get("HTTP_SEC_FETCH_SITE"),
        )
        if refusal is not None:
            status, detail = refusal
            raise Problem(f"{status.value} {status.phrase}", detail)


class AllowedOrigins:
    """Falcon middleware that lets browsers give answers to pages of some origins.

    Credentials of a browser, such as cookies, are never asked for: a page sends its token itself.

    Args:
        origins: In lower case; ``*`` for any.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)
        self._is_any = WILDCARD in self._origins

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Say that the page may have it, and before that, what it may send."""
        for name, value in self.headers(req.env):
            resp.append_header(name, value)
        methods = resp.get_header("Allow")
        if methods and is_preflight(req.env) and resp.get_header("Access-Control-Allow-Origin"):
            resp.set_header("Access-Control-Allow-Methods", methods)
            resp.set_header("Access-Control-Allow-Headers", ASKED_WITH)
            resp.set_header("Access-Control-Max-Age", str(PREFLIGHT_KEPT_S))

    def headers(self, environ: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what lets a page have the answer to a request, if it may."""
        # Without Vary a cache would give the answer for one origin to another.
        found = [] if self._is_any else [("Vary", "Origin")]
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and (self._is_any or origin.lower() in self._origins):
            found.append(("Access-Control-Allow-Origin", WILDCARD if self._is_any else origin))
            if not is_preflight(environ):
                found.append(("Access-Control-Expose-Headers", SHOWN))
        return found


def add_cross_site(app: falcon.App[Any, Any], rules: CrossSiteRules, settings: Settings) -> None:
    """Let an app refuse pages of other sites, and answer the allowed ones as browsers need it.

    Args:
        app: The app.
        rules: Of the process.
        settings: Of the process.
    """
    app.add_middleware(CrossSiteCheck(rules))
    if settings.allowed_origins:
        app.add_middleware(AllowedOrigins(settings.allowed_origins))
