"""``GET /<key>/<stat>/<date>/<hour>`` and ``GET /<key>/<stat>/<date>``: an hour, and its day."""

from collections.abc import Callable

import falcon

from api.access import Access
from api.query.caching import send_json
from api.query.statistic_query import StatisticQuery
from metrics.errors import NoDataError
from metrics.hours import Hour, parse_hour_of_day
from metrics.store import HourResult, Store

HOURS = range(24)


class Statistics:
    """One number of an hour, or of each hour of a day: of a key, or of all keys with a prefix.

    Args:
        store: Where the key-hours are.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
        now: The clock by which an hour is over, in Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._access = access
        self._ensure_layout = ensure_layout
        self._now = now

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str, hour: str
    ) -> None:
        """Answer with the number of one hour, or 304 if the client has it already.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        query = StatisticQuery.parse(key, stat, date)
        hour_of_day = parse_hour_of_day(hour)
        query.authorize(grant)
        ((found, is_complete),) = self._read(query, range(hour_of_day, hour_of_day + 1))
        if not found.aggregate.count:
            raise _no_data(query, Hour.on(query.day, hour_of_day), found.aggregate.dropped)
        content = {
            "key": key,
            "stat": stat,
            "date": date,
            "hour": hour_of_day,
            **_numbers(query, found),
            "complete": is_complete,
        }
        send_json(req, resp, content, is_complete=is_complete, is_open=self._access.is_open)

    on_head = on_get

    def on_get_day(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str
    ) -> None:
        """Answer with the numbers of 24 hours, null where there is nothing, or with 304.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        query = StatisticQuery.parse(key, stat, date)
        query.authorize(grant)
        hours = self._read(query, HOURS)
        content = {
            "key": key,
            "stat": stat,
            "date": date,
            "hours": [
                {"hour": i, **_numbers(query, found), "complete": is_complete}
                if found.aggregate.count or found.aggregate.dropped
                else None
                for i, (found, is_complete) in enumerate(hours)
            ],
        }
        is_complete = all(is_complete for _, is_complete in hours)
        send_json(req, resp, content, is_complete=is_complete, is_open=self._access.is_open)

    on_head_day = on_get_day

    def _read(self, query: StatisticQuery, hours: range) -> list[tuple[HourResult, bool]]:
        """Return for each hour of the day what was found, and whether that is complete."""
        self._ensure_layout()
        asked = [Hour.on(query.day, hour) for hour in hours]
        # The clock first: an hour that is over now gets only messages that are late.
        now = self._now()
        return [
            (found, hour.end <= now and found.is_drained)
            for hour, found in zip(asked, self._store.read(query.key, asked), strict=True)
        ]


def _numbers(query: StatisticQuery, found: HourResult) -> dict[str, object]:
    """Return the number that is asked for, and what it stands on."""
    aggregate = found.aggregate
    return {
        "value": query.statistic(aggregate) if aggregate.count else None,
        "count": aggregate.count,
        **({"dropped": aggregate.dropped} if aggregate.dropped else {}),
        **({"keys": found.keys} if query.is_of_prefix else {}),
    }


def _no_data(query: StatisticQuery, hour: Hour, dropped: int) -> NoDataError:
    lost = f", and {dropped} that were dropped by their sender" if dropped else ""
    return NoDataError(f"no messages of {query.key} in {hour} UTC{lost}", dropped=dropped)
