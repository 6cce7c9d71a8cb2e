"""The collector: ``POST /messages`` and log drains append messages to their streams."""

import gc
import logging
import os
import time
from collections.abc import Callable
from functools import partial

import falcon

from api.access import Access
from api.collector.fast_path import FastPath, WSGIApp
from api.collector.fast_posts import FastPosts
from api.collector.front_page import FrontPage
from api.collector.group_commit import GroupCommit
from api.collector.inline_queue import InlineQueue
from api.collector.key_limit import KeyLimit, Keys
from api.collector.logplex import Logplex
from api.collector.messages import ANSWER_DEADLINE_S, Messages
from api.collector.node_queues import NodeQueues
from api.collector.send_queue import SENDERS
from api.collector.series import AppendSeries, KeySeries, MessageSeries
from api.cross_site import add_cross_site
from api.exposition import Refusals, Router, Series, add_exposition
from api.health import add_health
from api.openapi import add_openapi
from api.problems import add_problems
from api.rate_limit import limited
from api.self_times import SelfTimes
from api.startup import Service, load, or_refuse
from api.time_slices import TimeSlices, has_greenlets
from metrics.connection import Connection
from metrics.cross_site import CrossSiteRules
from metrics.instruments import RedisErrors
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.shared_cells import SharedCells
from metrics.stream import Appender

REDIS_TIMEOUT_S = 1.5

_log = logging.getLogger(__name__)


def create_app(
    connection: Connection,
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,
    layout: Layout | None = None,
    commit: GroupCommit | None = None,
    with_greenlets: bool = True,
    cells: SharedCells | None = None,
    self_times: SelfTimes | None = None,
    access: Access | None = None,
    keys: Keys | None = None,
    refused: Refusals | None = None,
) -> WSGIApp:
    """Return the collector as a WSGI app.

    Args:
        connection: The way to Redis.
        settings: Of the process.
        now: Clock that gives a message its hour, in Unix seconds.
        layout: That of the process, if it has one already.
        commit: Appends the batches; one with queues of its own, if not given.
        with_greenlets: Whether each request has a greenlet; else it has a thread.
        cells: Where it counts; memory of its own, if not given.
        self_times: Records how long requests took, if that is wanted.
        access: Who may write which keys; as the settings say, if not given.
        keys: Lets new keys in; as the settings say, if not given.
        refused: Counts what the server refuses; one of its own, if not given.

    Raises:
        SettingsError: If the tokens cannot be read.
    """
    cells = cells or SharedCells()
    redis_errors = RedisErrors(cells, "metrics_collector_redis_errors")
    connection.on_error = redis_errors.count
    message_series = MessageSeries(cells)
    layout = layout or Layout(connection, partitions=settings.partitions)
    series: list[Series] = [
        redis_errors,
        message_series,
        refused or Refusals("collector", cells),
    ]
    queues = None
    if commit is None:
        appends = AppendSeries(cells, Appender.of(connection, settings, layout).send)
        series.append(appends)
        send = appends.send
        if with_greenlets:
            queues = NodeQueues(connection, send, partitions=settings.partitions)
        inline = InlineQueue(send)
        commit = GroupCommit(
            queues.of if queues else lambda _: inline,
            partitions=settings.partitions,
            window_s=settings.dedupe_seconds,
        )
    access = access or Access(settings.write_tokens, settings.write_tokens_file)
    if keys is None:
        keys = limit = KeyLimit.of(connection, settings, layout, now=now)
        series.append(KeySeries(limit))
    slices = TimeSlices.of_process()
    messages = Messages(
        commit,
        access=access,
        series=message_series,
        keys=keys,
        partitions=settings.partitions,
        retention_days=settings.retention_days,
        body_max_bytes=settings.body_max_bytes,
        now=now,
        slices=slices,
    )
    logplex = Logplex(messages, access=access)
    rules = CrossSiteRules.of(settings)
    router = Router()
    app = falcon.App(router=router)
    problems = add_problems(app, ["POST /messages", "POST /logplex", "GET /"])
    add_health(app, connection, layout)
    add_openapi(app, "api.collector")
    app.add_route("/messages", messages)
    app.add_route("/logplex", logplex)
    app.add_route("/", FrontPage(settings))
    # First of those that look at each request, so that it sees when that begins.
    requests = add_exposition(app, router, "collector", cells, series, self_times)
    add_cross_site(app, rules, settings)
    if queues is None:
        return limited(app, settings, access=access, requests=requests)
    posts = FastPosts(
        queues,
        commit,
        builder=messages.builder,
        failed=partial(messages.failed, problems),
        write=problems.content,
        requests=requests,
        messages=message_series,
        keys=keys,
        partitions=settings.partitions,
        deadline_s=ANSWER_DEADLINE_S,
        now=now,
        slices=slices,
    )
    fast_path = FastPath(
        app, posts, access=access, body_max_bytes=settings.body_max_bytes, has_host=rules.has_host
    )
    return limited(fast_path, settings, access=access, requests=requests)


def get_app() -> Service:
    """Return the collector as the environment sets it up; for gunicorn, or any other WSGI server.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection, layout = load(
        os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=SENDERS + 1
    )
    if not settings.asks_writers:
        _log.warning(
            "METRICS_WRITE_TOKENS is not set: everybody who reaches this port may write; "
            "METRICS_HOST is %s",
            settings.host,
        )
    self_times = SelfTimes.of("collector", settings, connection, layout)
    cells = SharedCells.of_service()
    refused = Refusals("collector", cells)
    with or_refuse():
        access = Access(settings.write_tokens, settings.write_tokens_file)
    app = create_app(
        connection,
        settings,
        layout=layout,
        with_greenlets=has_greenlets(),
        access=access,
        cells=cells,
        self_times=self_times,
        refused=refused,
    )
    if self_times is not None:
        self_times.start()
    # What there is by now stays: the garbage collector need not go through it again and again.
    gc.freeze()
    return Service(
        app,
        [access],
        count_refused=refused.connections.add,
        count_refused_body=refused.bodies.add,
    )
