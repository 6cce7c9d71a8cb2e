"""``GET /keys``: the known keys in order, page by page."""

from collections.abc import Callable

import falcon

from api.access import Access
from api.query.caching import send
from api.query.parameters import check_parameters, check_prefix, limit_of
from metrics.errors import InvalidQueryError
from metrics.known_keys import KnownKeys
from metrics.message import is_key, shown

LIMIT = 100


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
        prefixes = grant.within(prefix)
        self._ensure_layout()
        found = self._known_keys.page(prefixes, after, limit + 1)
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
    given = check_parameters(req.params, "prefix", "after", "limit")
    after = given.get("after", "")
    if after and not is_key(after):
        raise InvalidQueryError(f"after must be the next of a page before, got {shown(after)}")
    return check_prefix(given.get("prefix", "")), after, limit_of(given, LIMIT)
