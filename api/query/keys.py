"""``GET /keys``: the known keys in order, page by page."""

import re
from collections.abc import Callable

import falcon

from api.access import Access
from api.problems import Problem
from api.query.caching import send
from api.query.statistic_query import check_parameters, check_prefix
from metrics.errors import InvalidQueryError
from metrics.known_keys import KnownKeys
from metrics.message import is_key, shown

LIMIT = 100
LIMIT_MAX = 1000

_LIMIT = re.compile(r"\d{1,4}", re.ASCII)


class Keys:
    """``/keys``: which keys have messages, and in which hour each had its newest.

    Args:
        known_keys: Where they are.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
    """

    def __init__(
        self, known_keys: KnownKeys, *, access: Access, ensure_layout: Callable[[], None]
    ) -> None:
        self._known_keys = known_keys
        self._access = access
        self._ensure_layout = ensure_layout

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with one page: the keys that its token covers, in the order of their bytes.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        prefix, after, limit = _parameters(req)
        if not grant.reaches(prefix):
            raise Problem(falcon.HTTP_403, f"this token may not read keys with prefix {prefix}")
        self._ensure_layout()
        found = self._known_keys.page(grant.within(prefix), after, limit + 1)
        page = found[:limit]
        content = {
            "keys": [{"key": key, "newest_hour": str(hour)} for key, hour in page],
            "next": page[-1][0] if len(found) > limit else None,
        }
        send(req, resp, content, is_complete=False, is_open=self._access.is_open)

    on_head = on_get


def _parameters(req: falcon.Request) -> tuple[str, str, int]:
    """Return prefix, after and limit.

    Raises:
        InvalidQueryError: If one of them is bad, or is there twice, or there is another.
    """
    given = {"prefix": "", "after": "", "limit": str(LIMIT)}
    given |= check_parameters(req.params, *given)
    after, limit = given["after"], given["limit"]
    if after and not is_key(after):
        raise InvalidQueryError(f"after must be the next of a page before, got {shown(after)}")
    if not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= LIMIT_MAX):
        raise InvalidQueryError(f"limit must be 1 to {LIMIT_MAX}, got {shown(limit)}")
    return check_prefix(given["prefix"]), after, int(limit)
