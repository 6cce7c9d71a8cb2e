"""Requests that browsers send for pages of other sites are refused, before anything else."""

from typing import Any

import falcon

from api.problems import Problem
from metrics.cross_site import CrossSiteRules
from metrics.settings import Settings


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


def add_cross_site(app: falcon.App[Any, Any], rules: CrossSiteRules, settings: Settings) -> None:
    """Let an app refuse pages of other sites, and answer the allowed ones as browsers need it.

    Args:
        app: The app.
        rules: Of the process.
        settings: Of the process.
    """
    app.add_middleware(CrossSiteCheck(rules))
    if settings.allowed_origins:
        app.add_middleware(falcon.CORSMiddleware(allow_origins=settings.allowed_origins))
