"""``GET /<key>/<stat>/<date>/<hour>``, and of a day or a range ``GET /<key>/<stat>/<date>``."""

from collections.abc import Callable, Mapping, Sequence

import falcon

from api.access import Access
from api.query.answer import Answer
from api.query.caching import send_json
from api.query.statistic_query import StatisticQuery, parse_hour
from api.time_slices import TimeSlices
from metrics.errors import InvalidQueryError, NoDataError
from metrics.hours import Hour
from metrics.period import Period, parse_day
from metrics.store import Result, Store


class Statistics:
    """A statistic of an hour, or of each hour of a period: of a key, or of all keys with a prefix.

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
        """Answer with the statistic of one hour, or 304 if the client has it already.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        # Before anything is read: an hour that is over then gets only messages that are late.
        now = self._now()
        query = StatisticQuery.parse(key, stat, req.params)
        if query.zone is not None:
            raise InvalidQueryError("tz is for days and ranges; an hour is one of UTC")
        day = parse_day(date, now)
        hour_of_day = parse_hour(hour, date, now)
        asked = Hour.on(day, hour_of_day)
        query.authorize(grant)
        before = query.before(Period(day, day))
        earlier = [Hour.on(before.first, hour_of_day)] if before else []
        results = self._read(query, [asked, *earlier])
        result = results[asked]
        answer = Answer(query.statistic, query.is_of_prefix, query.is_compared).of(
            result,
            [results[each] for each in earlier],
            is_complete=self._is_complete(asked, result, now),
        )
        if answer is None or not answer["count"]:
            raise _no_data(query, asked, result.aggregate.dropped)
        content = {
            "key": key,
            "stat": stat,
            "date": str(day),
            "hour": hour_of_day,
            **answer,
        }
        is_complete = bool(answer["complete"])
        send_json(req, resp, content, is_complete=is_complete, is_open=self._access.is_open)

    on_head = on_get

    def on_get_day(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str
    ) -> None:
        """Answer with the statistic of each hour of a day or a range, null where there is nothing.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        now = self._now()
        query = StatisticQuery.parse(key, stat, req.params)
        period = Period.parse(date, now, query.zone)
        query.authorize(grant)
        before = query.before(period)
        asked = [each.hour for each in period.hours()]
        earlier = [each.hour for each in before.hours()] if before else []
        results = self._read(query, [*asked, *earlier])
        answer = Answer(query.statistic, query.is_of_prefix, query.is_compared)
        hours: list[dict[str, object] | None] = []
        is_complete = True
        self._slices.start()
        for each, matching in zip(period.hours(), period.matching(before), strict=True):
            result = results[each.hour]
            is_hour_complete = self._is_complete(each.hour, result, now)
            is_complete = is_complete and is_hour_complete
            found = answer.of(
                result, [results[matching]] if matching else [], is_complete=is_hour_complete
            )
            labels = {"date": str(each.day)} if period.is_range else {}
            hours.append(found and {**labels, "hour": each.hour_of_day, **found})
            self._slices.pause_if_due()
        whole = answer.of(
            Result.whole([results[hour] for hour in asked]),
            [Result.whole([results[hour] for hour in earlier])] if earlier else [],
            is_complete=is_complete,
        )
        content = {"key": key, "stat": stat, **_names(period), "hours": hours, "whole": whole}
        send_json(req, resp, content, is_complete=is_complete, is_open=self._access.is_open)

    on_head_day = on_get_day

    def _read(self, query: StatisticQuery, hours: Sequence[Hour]) -> Mapping[Hour, Result]:
        self._ensure_layout()
        asked = sorted(set(hours))
        return dict(zip(asked, self._store.read(query.key, asked), strict=True))

    def _is_complete(self, hour: Hour, result: Result, now: float) -> bool:
        return hour.end + self._lateness_s <= now and result.is_drained


def _names(period: Period) -> dict[str, object]:
    """Return how an answer names its period."""
    days = {"from": str(period.first), "to": str(period.last)}
    zone = {"tz": str(period.zone), "start": period.start.isoformat()} if period.zone else {}
    return {**(days if period.is_range else {"date": str(period.first)}), **zone}


def _no_data(query: StatisticQuery, hour: Hour, dropped: int) -> NoDataError:
    lost = f", and {dropped} that were dropped by their sender" if dropped else ""
    return NoDataError(f"no messages of {query.key} in {hour} UTC{lost}", dropped=dropped)
