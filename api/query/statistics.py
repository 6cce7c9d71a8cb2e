"""``GET /<key>/<stat>/<date>/<hour>`` and ``GET /<key>/<stat>/<date>``: an hour, and its day."""

from collections.abc import Callable, Iterator

import falcon

from api.access import Access
from api.query.caching import send_json
from api.query.statistic_query import HOURS_PER_DAY, StatisticQuery, parse_hour
from api.time_slices import TimeSlices
from metrics.accuracy import RELATIVE_ERROR
from metrics.errors import NoDataError
from metrics.hours import Hour
from metrics.store import HourResult, Store

HOURS = range(HOURS_PER_DAY)


class Statistics:
    """One number of an hour, or of each hour of a day: of a key, or of all keys with a prefix.

    Args:
        store: Where the key-hours are.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
        lateness_s: How long after its end an hour is not complete yet.
        now: The clock by which an hour is over, in Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
        lateness_s: float,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._access = access
        self._ensure_layout = ensure_layout
        self._lateness_s = lateness_s
        self._now = now
        self._slices = TimeSlices.of_process()

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str, hour: str
    ) -> None:
        """Answer with the number of one hour, or 304 if the client has it already.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        now = self._now()
        query = StatisticQuery.parse(key, stat, date, now)
        hour_of_day = parse_hour(hour, date, now)
        query.authorize(grant)
        ((found, is_complete),) = self._read(query, range(hour_of_day, hour_of_day + 1), now)
        if not found.aggregate.count:
            raise _no_data(query, Hour.on(query.day, hour_of_day), found.aggregate.dropped)
        content = {
            "key": key,
            "stat": stat,
            "date": str(query.day),
            "hour": hour_of_day,
            **_numbers(query, found, is_complete=is_complete),
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
        now = self._now()
        query = StatisticQuery.parse(key, stat, date, now)
        query.authorize(grant)
        hours: list[dict[str, object] | None] = []
        are_complete = True
        for found, is_complete in self._read(query, HOURS, now):
            is_there = found.aggregate.count or found.aggregate.dropped
            numbers = _numbers(query, found, is_complete=is_complete) if is_there else {}
            hours.append({"hour": len(hours), **numbers} if is_there else None)
            are_complete = are_complete and is_complete
            self._slices.pause_if_due()
        content = {"key": key, "stat": stat, "date": str(query.day), "hours": hours}
        send_json(req, resp, content, is_complete=are_complete, is_open=self._access.is_open)

    on_head_day = on_get_day

    def _read(
        self, query: StatisticQuery, hours: range, now: float
    ) -> Iterator[tuple[HourResult, bool]]:
        """Yield for each hour of the day what was found, and whether that is complete.

        The time is that before anything is read: an hour that is over then gets only messages
        that are late.
        """
        self._ensure_layout()
        asked = [Hour.on(query.day, hour) for hour in hours]
        found_hours = self._store.read(query.key, asked)
        self._slices.start()
        for hour, found in zip(asked, found_hours, strict=True):
            yield found, hour.end + self._lateness_s <= now and found.is_drained


def _numbers(query: StatisticQuery, found: HourResult, *, is_complete: bool) -> dict[str, object]:
    """Return what is asked for, and what it stands on."""
    aggregate, statistic = found.aggregate, query.statistic
    nothing = dict.fromkeys(statistic.names)
    return {
        **(statistic.members(aggregate) if aggregate.count else nothing),
        "count": aggregate.count,
        **({"dropped": aggregate.dropped} if aggregate.dropped else {}),
        **({"keys": found.keys} if query.is_of_prefix else {}),
        "complete": is_complete,
        **({"relative_error": RELATIVE_ERROR} if statistic.is_estimate else {}),
    }


def _no_data(query: StatisticQuery, hour: Hour, dropped: int) -> NoDataError:
    lost = f", and {dropped} that were dropped by their sender" if dropped else ""
    return NoDataError(f"no messages of {query.key} in {hour} UTC{lost}", dropped=dropped)
