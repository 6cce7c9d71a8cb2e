"""``GET /<key>/<stat>/<date>/<hour>``, and of a day or a range ``GET /<key>/<stat>/<date>``."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import falcon

from api.access import Access
from api.query.answer import Answer
from api.query.caching import send
from api.query.deletion import KeyHourDeletion
from api.query.formats import SVG, Format, chosen
from api.query.formats.table import Table, buckets_of
from api.query.statistic_query import StatisticQuery, parse_hour
from api.time_slices import TimeSlices
from metrics.errors import InvalidQueryError, NoDataError
from metrics.hours import Hour
from metrics.period import Period, parse_day
from metrics.store import Result, Store

DRAWN = ".svg"
"""At the end of a date: the drawing of that day or range."""

BUCKETS_MAX = 250_000
"""How many buckets of histograms one answer may have: a month of full hours has 220,000."""


class Statistics:
    """A statistic of an hour, or of each hour of a period: of a key, or of all keys with a prefix.

    Args:
        store: Where the key-hours are.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
        lateness_s: How long after its end an hour is not complete yet.
        now: The clock by which an hour is over, in Unix seconds.
        deletion: What answers DELETE, which has the same routes.
        slices: In which it works.
    """

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
        lateness_s: float,
        now: Callable[[], float],
        deletion: KeyHourDeletion,
        slices: TimeSlices,
    ) -> None:
        self._store = store
        self._access = access
        self._ensure_layout = ensure_layout
        self._lateness_s = lateness_s
        self._now = now
        self._deletion = deletion
        self._slices = slices

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
            raise _no_data(query, asked, result)
        content = {
            "key": key,
            "stat": stat,
            "date": str(day),
            "hour": hour_of_day,
            **answer,
        }
        table = Table(content, query.statistic.names, [(str(day), hour_of_day)], [answer])
        self._send(req, resp, table, is_complete=bool(answer["complete"]))

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
        is_drawn = date.endswith(DRAWN)
        period = Period.parse(date.removesuffix(DRAWN), now, query.zone)
        query.authorize(grant)
        table, is_complete = self._table_of(query, period, now)
        self._send(req, resp, table, is_complete=is_complete, form=SVG if is_drawn else None)

    on_head_day = on_get_day

    def on_delete_day(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str
    ) -> None:
        """Remove a key-hour: the route is that of a day, with a date and an hour in other places.

        Raises:
            falcon.HTTPError: If the request may not do this, or not now.
            MetricsError: If it was not done.
        """
        self._deletion.on_delete(req, resp, key, date=stat, hour=date)

    def _table_of(self, query: StatisticQuery, period: Period, now: float) -> tuple[Table, bool]:
        """Return what is answered of a period, and whether all of it is complete."""
        before = query.before(period)
        asked = list(period.hours())
        earlier = [each.hour for each in before.hours()] if before else []
        results = self._read(query, [*(each.hour for each in asked), *earlier])
        answer = Answer(query.statistic, query.is_of_prefix, query.is_compared)
        hours: list[dict[str, object] | None] = []
        is_complete, buckets = True, 0
        self._slices.start()
        for each, matching in zip(asked, period.matching(before), strict=True):
            result = results[each.hour]
            is_hour_complete = self._is_complete(each.hour, result, now)
            is_complete = is_complete and is_hour_complete
            found = answer.of(
                result, [results[matching]] if matching else [], is_complete=is_hour_complete
            )
            date = {"date": str(each.day)} if period.is_range else {}
            hours.append(found and {**date, "hour": each.hour_of_day, **found})
            buckets += len(buckets_of(found))
            _check_size(buckets)
            self._slices.pause_if_due()
        whole = answer.of(
            Result.whole([results[each.hour] for each in asked]),
            [Result.whole([results[hour] for hour in earlier])] if earlier else [],
            is_complete=is_complete,
        )
        names = {"key": query.key, "stat": query.stat, **_names(period)}
        labels = [(str(each.day), each.hour_of_day) for each in asked]
        table = Table(
            {**names, "hours": hours, "whole": whole},
            query.statistic.names,
            labels,
            hours,
            self._slices.pause_if_due,
        )
        return table, is_complete

    def _send(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        table: Table,
        *,
        is_complete: bool,
        form: Format | None = None,
    ) -> None:
        resp.append_header("Vary", "Accept")
        send(
            req,
            resp,
            table.answer,
            is_complete=is_complete,
            is_open=self._access.is_open,
            form=form or chosen(req),
            table=table,
            pause=self._slices.pause_if_due,
        )

    def _read(self, query: StatisticQuery, hours: Sequence[Hour]) -> Mapping[Hour, Result]:
        self._ensure_layout()
        asked = sorted(set(hours), key=attrgetter("number"))
        return dict(zip(asked, self._store.read(query.key, asked), strict=True))

    def _is_complete(self, hour: Hour, result: Result, now: float) -> bool:
        return hour.end + self._lateness_s <= now and result.is_drained


def _check_size(buckets: int) -> None:
    """See that histograms do not have too many buckets for one answer.

    Raises:
        InvalidQueryError: If they have.
    """
    if buckets > BUCKETS_MAX:
        raise InvalidQueryError(
            f"one answer may have {BUCKETS_MAX} buckets: ask for fewer hours, or for summary"
        )


def _names(period: Period) -> dict[str, object]:
    """Return how an answer names its period."""
    days = {"from": str(period.first), "to": str(period.last)}
    zone = {"tz": str(period.zone), "start": period.start.isoformat()} if period.zone else {}
    return {**(days if period.is_range else {"date": str(period.first)}), **zone}


def _no_data(query: StatisticQuery, hour: Hour, result: Result) -> NoDataError:
    dropped = result.aggregate.dropped
    lost = f", and {dropped} that were dropped by their sender" if dropped else ""
    waiting = "" if result.is_drained else "; some of that hour wait to be counted: ask again soon"
    return NoDataError(f"no messages of {query.key} in {hour} UTC{lost}{waiting}", dropped=dropped)
