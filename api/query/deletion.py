"""``DELETE /<key>/<date>/<hour>``: removes a key-hour."""

import logging
from collections.abc import Callable

import falcon
import msgspec

from api.access import Access
from api.problems import Problem
from api.query.parameters import check_asked_key
from metrics.deletion import Deletion
from metrics.errors import BacklogError
from metrics.hours import Hour, parse_date, parse_hour_of_day

ROUTE = "DELETE /<key>/<date>/<hour>"

_log = logging.getLogger(__name__)


class KeyHourDeletion:
    """Removes one key-hour for whoever may write all keys.

    Args:
        deletion: What removes it.
        access: Who may write which keys.
        ensure_layout: Checks that Redis holds what this process expects.
    """

    def __init__(
        self, deletion: Deletion, *, access: Access, ensure_layout: Callable[[], None]
    ) -> None:
        self._deletion = deletion
        self._access = access
        self._ensure_layout = ensure_layout

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, key: str, date: str, hour: str
    ) -> None:
        """Remove a key-hour, and answer with how many messages it had.

        Raises:
            falcon.HTTPError: If the request may not do this, or not now.
            MetricsError: If it was not done.
        """
        if self._access.is_open:
            raise Problem(
                falcon.HTTP_403,
                "deleting takes a token for all keys, and METRICS_WRITE_TOKENS has none",
            )
        grant = self._access.grant(req)
        # Only the empty prefix begins the empty key.
        if not grant.covers(""):
            raise Problem(falcon.HTTP_403, "this token may not write all keys, as deleting takes")
        check_asked_key(key)
        day, hour_of_day = parse_date(date), parse_hour_of_day(hour)
        self._ensure_layout()
        try:
            deleted = self._deletion.delete(key, Hour.on(day, hour_of_day))
        except BacklogError as error:
            raise Problem(falcon.HTTP_409, str(error)) from error
        _log.warning(
            "deleted %d messages: %s of %s %02d UTC, for token %s from %s",
            *(deleted, key, day, hour_of_day, grant.token_id, req.remote_addr),
        )
        resp.data = msgspec.json.encode(
            {"key": key, "date": str(day), "hour": hour_of_day, "deleted": deleted}
        )
        resp.cache_control = ["no-store"]
