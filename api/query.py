"""The query service: ``GET /<key>/<stat>/<date>/<hour>`` answers from one hash; and the books."""

import hashlib
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import falcon
import msgspec

from api.access import Access
from api.audit import AllBooks, Audit
from api.exposition import Answers, BooksSeries, add_exposition
from api.health import add_health
from api.problems import Problem, add_problems
from api.startup import start
from metrics.connection import Connection
from metrics.errors import InvalidMessageError, InvalidQueryError
from metrics.hours import Hour, parse_date, parse_hour_of_day
from metrics.layout import Layout
from metrics.message import check_key
from metrics.settings import Settings
from metrics.statistic import parse_statistic
from metrics.store import Store

CONNECTIONS_MAX = 4
REDIS_TIMEOUT_S = 1.0
CACHED_SECONDS = 60
"""How long an answer may be kept: late messages may still come to an hour that is complete."""

_log = logging.getLogger(__name__)


class Statistics:
    """``/<key>/<stat>/<date>/<hour>``: one number of one key in one hour."""

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        agree: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        """Set it up.

        Args:
            store: Where the key-hours are.
            access: Who may read which keys.
            agree: Checks that Redis holds what this process expects, until it once did.
            now: The clock by which an hour is over, in Unix seconds.
        """
        self._store = store
        self._access = access
        self._agree = agree
        self._now = now

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, key: str, stat: str, date: str, hour: str
    ) -> None:
        """Answer with the number, or 304 if the client has it already.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        try:
            check_key(key)
        except InvalidMessageError as error:
            raise InvalidQueryError(str(error)) from error
        statistic = parse_statistic(stat)
        day, hour_of_day = parse_date(date), parse_hour_of_day(hour)
        if not grant.covers(key):
            raise Problem(falcon.HTTP_403, f"this token may not read the key {key}")
        self._agree()
        asked = Hour.on(day, hour_of_day)
        is_over = asked.end <= self._now()
        found = self._store.read(key, asked)
        is_complete = is_over and found.is_drained
        answer = {
            "key": key,
            "stat": stat,
            "date": date,
            "hour": hour_of_day,
            "value": statistic(found.aggregate),
            "count": found.aggregate.count,
            **({"dropped": found.dropped} if found.dropped else {}),
            "complete": is_complete,
        }
        resp.data = msgspec.json.encode(answer)
        etag = hashlib.blake2b(resp.data, digest_size=12).hexdigest()
        resp.etag = etag
        visibility = "public" if self._access.is_open else "private"
        resp.cache_control = (
            [visibility, f"max-age={CACHED_SECONDS}"] if is_complete else ["no-cache", "no-store"]
        )
        if _has(req, etag):
            resp.status = falcon.HTTP_304
            resp.data = None

    on_head = on_get


def _has(req: falcon.Request, etag: str) -> bool:
    """Tell whether the client has the answer (RFC 9110, section 13.1.2)."""
    return any(known in ("*", etag) for known in req.if_none_match or ())


def create_app(
    connection: Connection, settings: Settings, *, now: Callable[[], float] = time.time
) -> falcon.App[Any, Any]:
    """Return the query service as a WSGI app.

    Args:
        connection: The way to Redis.
        settings: Of the process.
        now: Clock by which an hour is over, in Unix seconds.
    """
    layout = Layout(partitions=settings.partitions)
    access = Access(settings.read_tokens)

    def agree() -> None:
        layout.agree(connection)

    statistics = Statistics(
        Store(connection, partitions=settings.partitions), access=access, agree=agree, now=now
    )
    all_books = AllBooks(connection, agree=agree, partitions=settings.partitions)
    app = falcon.App()
    add_problems(app)
    add_health(app, connection, layout)
    add_exposition(app, Answers("query", of=statistics), BooksSeries(all_books))
    app.add_route("/audit", Audit(all_books, access=access))
    app.add_route("/{key}/{stat}/{date}/{hour}", statistics)
    return app


def get_app() -> falcon.App[Any, Any]:
    """Return the query service as the environment sets it up; for gunicorn.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection = start(
        os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=CONNECTIONS_MAX
    )
    if not settings.read_tokens:
        _log.warning("METRICS_READ_TOKENS is not set: everybody who reaches this port may read")
    return create_app(connection, settings)
