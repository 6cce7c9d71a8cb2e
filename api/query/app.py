"""The query service: statistics of keys in hours and days, the known keys, and the audit."""

import gc
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import falcon

from api.access import Access
from api.cross_site import add_cross_site
from api.exposition import Refusals, Router, Series, add_exposition
from api.health import add_health
from api.openapi import add_openapi
from api.problems import add_problems
from api.query.audit import Audit, AuditReader
from api.query.audit_series import AuditSeries
from api.query.dashboard.front_page import add_dashboard
from api.query.deletion import ROUTE, KeyHourDeletion
from api.query.export import Export
from api.query.keys import Keys
from api.query.memory_series import MemorySeries
from api.query.origins import Origins
from api.query.short_requests import ShortRequests
from api.query.statistics import Statistics
from api.rate_limit import RateLimited, limited
from api.self_times import SelfTimes
from api.startup import Service, load, or_refuse
from api.time_slices import TimeSlices
from metrics.admission import Admission
from metrics.connection import Connection
from metrics.cross_site import CrossSiteRules
from metrics.deletion import Deletion
from metrics.instruments import RedisErrors
from metrics.known_keys import KnownKeys
from metrics.last_hours import LastHours
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.shared_cells import SharedCells
from metrics.store import Store

CONNECTIONS_MAX = 8
REDIS_TIMEOUT_S = 1.0

SLICE_S = 0.002
"""How long a long question works before others have their turn: a piece of a few hashes."""

# Few, so that they leave most connections, and most of the time between two pieces, to others.
LARGE_AT_ONCE = 1
LARGE_WAITING_MAX = 8
LARGE_WAIT_S = 2.0

EXPORTS_WAITING_MAX = 2
EXPORT_WAIT_S = 5.0
"""Half of what Prometheus waits for: two of them may scrape the same."""

OBJECTS_PER_COLLECTION = 50_000
"""An answer has an object for each bucket, and no cycles; to look for some took a third of it."""

ROUTES = (
    "GET /<key>/<stat>/<date>/<hour>",
    "GET /<key>/<stat>/<date>",
    "GET /<prefix>*/keys/<hour>",
    "GET /keys",
    "GET /audit",
    "GET /export/prometheus",
    ROUTE,
    "GET /",
)

_log = logging.getLogger(__name__)


def create_app(
    connection: Connection,
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,
    layout: Layout | None = None,
    cells: SharedCells | None = None,
    self_times: SelfTimes | None = None,
    readers: Access | None = None,
    writers: Access | None = None,
    refused: Refusals | None = None,
) -> falcon.App[Any, Any] | RateLimited:
    """Return the query service as a WSGI app.

    Args:
        connection: The way to Redis.
        settings: Of the process.
        now: Clock by which an hour is over, in Unix seconds.
        layout: That of the process, if it has one already.
        cells: Where it counts; memory of its own, if not given.
        self_times: Records how long requests took, if that is wanted.
        readers: Who may read which keys; as the settings say, if not given.
        writers: Who may write which keys, and so delete; as the settings say, if not given.
        refused: Counts what the server refuses; one of its own, if not given.

    Raises:
        SettingsError: If the tokens cannot be read.
    """
    cells = cells or SharedCells()
    redis_errors = RedisErrors(cells, "metrics_query_redis_errors")
    connection.on_error = redis_errors.count
    layout = layout or Layout(connection, partitions=settings.partitions)
    access = readers or Access(settings.read_tokens, settings.read_tokens_file)
    writers = writers or Access(settings.write_tokens, settings.write_tokens_file)
    known_keys = KnownKeys(connection, partitions=settings.partitions)
    slices = TimeSlices.of_process(SLICE_S)
    store = Store(
        connection,
        partitions=settings.partitions,
        known_keys=known_keys,
        large=Admission(
            "large questions",
            at_once=LARGE_AT_ONCE,
            waiting_max=LARGE_WAITING_MAX,
            wait_s=LARGE_WAIT_S,
            on_asked=slices.become_long,
        ),
        pause=slices.pause_if_due,
    )
    statistics = Statistics(
        store,
        access=access,
        ensure_layout=layout.ensure,
        lateness_s=settings.lateness_seconds,
        now=now,
        deletion=KeyHourDeletion(
            Deletion(
                connection,
                partitions=settings.partitions,
                retention_days=settings.retention_days,
                now=now,
            ),
            access=writers,
            ensure_layout=layout.ensure,
        ),
        slices=slices,
    )
    keys = Keys(known_keys, access=access, ensure_layout=layout.ensure)
    origins = Origins(store, access=access, ensure_layout=layout.ensure, slices=slices)
    audit_reader = AuditReader(
        connection, ensure_layout=layout.ensure, partitions=settings.partitions
    )
    router = Router()
    app = falcon.App(router=router, middleware=[ShortRequests(slices)])
    add_problems(app, ROUTES)
    add_health(app, connection, layout)
    add_openapi(app, "api.query")
    app.add_route("/audit", Audit(audit_reader, access=access))
    # A key may be named like these: falcon looks at the number of segments, too.
    app.add_route("/keys", keys)
    app.add_route(
        "/export/prometheus",
        Export(
            LastHours(connection, known_keys, settings),
            access=access,
            ensure_layout=layout.ensure,
            admission=Admission(
                "exports", at_once=1, waiting_max=EXPORTS_WAITING_MAX, wait_s=EXPORT_WAIT_S
            ),
            now=now,
            slices=slices,
        ),
    )
    app.add_route("/{key}/keys/{hours}", origins)
    app.add_route("/{key}/{stat}/{date}", statistics, suffix="day")
    app.add_route("/{key}/{stat}/{date}/{hour}", statistics)
    add_dashboard(app, known_keys, access, layout.ensure)
    # First of those that look at each request, so that it sees when that begins.
    series: list[Series] = [
        redis_errors,
        AuditSeries(audit_reader),
        MemorySeries(connection, partitions=settings.partitions),
        refused or Refusals("query", cells),
    ]
    requests = add_exposition(app, router, "query", cells, series, self_times)
    add_cross_site(app, CrossSiteRules.of(settings), settings)
    return limited(app, settings, access=access, requests=requests)


def get_app() -> Service:
    """Return the query service as the environment sets it up; for gunicorn.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection, layout = load(
        os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=CONNECTIONS_MAX
    )
    if not settings.asks_readers:
        _log.warning(
            "METRICS_READ_TOKENS is not set: everybody who reaches this port may read; "
            "METRICS_HOST is %s",
            settings.host,
        )
    self_times = SelfTimes.of("query", settings, connection, layout)
    cells = SharedCells.of_service()
    refused = Refusals("query", cells)
    with or_refuse():
        readers = Access(settings.read_tokens, settings.read_tokens_file)
        writers = Access(settings.write_tokens, settings.write_tokens_file)
    app = create_app(
        connection,
        settings,
        layout=layout,
        readers=readers,
        writers=writers,
        cells=cells,
        self_times=self_times,
        refused=refused,
    )
    if self_times is not None:
        self_times.start()
    # What there is by now stays: the garbage collector need not go through it again and again.
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    return Service(
        app,
        [readers, writers],
        count_refused=refused.connections.add,
        count_refused_body=refused.bodies.add,
    )
