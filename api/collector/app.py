"""The collector: ``POST /messages`` appends messages to their streams."""

import gc
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from time import monotonic
from types import SimpleNamespace
from typing import Any

import falcon
import msgspec

from api.access import EVERYTHING, Access, Grant
from api.collector.batch_builder import BatchBuilder, shown_errors
from api.collector.bodies import read_body
from api.collector.fast_path import FastPath, WSGIApp
from api.collector.fast_posts import FastPosts
from api.collector.group_commit import GroupCommit
from api.collector.inline_queue import InlineQueue
from api.collector.node_queues import NodeQueues
from api.collector.request_body import idempotency_key_of, read_bytes
from api.collector.send_queue import SENDERS
from api.cross_site import add_cross_site
from api.exposition import RequestCounters, add_exposition
from api.health import add_health
from api.problems import Problem, Problems, add_problems, unavailable
from api.startup import load
from api.time_slices import TimeSlices, has_greenlets
from metrics.connection import Connection
from metrics.cross_site import CrossSiteRules
from metrics.errors import MetricsError, PartlyStoredError
from metrics.idempotency import IdempotencyKey
from metrics.keyspace import partition_of
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.stream import Appender, Batch

ANSWER_DEADLINE_S = 2.0
"""How long a request waits for Redis before it is answered 503."""

REDIS_TIMEOUT_S = 1.5

_MESSAGE_COUNTERS = {
    "accepted": "Messages that this process answered as accepted",
    "rejected": "Messages that this process answered as rejected",
    "dropped": "Messages that clients reported to this process as dropped",
}

_log = logging.getLogger(__name__)


class Messages:
    """``/messages``: takes what apps measured.

    Args:
        commit: Appends the batches.
        access: Who may write which keys.
        partitions: How many there are.
        retention_days: How old a timestamp may be.
        body_max_bytes: How long a body may be, before and after decompression.
        now: The clock that gives a message its hour, in Unix seconds.
    """

    def __init__(
        self,
        commit: GroupCommit,
        *,
        access: Access,
        partitions: int,
        retention_days: int,
        body_max_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self._commit = commit
        self._access = access
        self._partitions = partitions
        self._retention_days = retention_days
        self._body_max_bytes = body_max_bytes
        self._now = now
        self._slices = TimeSlices.of_process()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Append the messages of the body; answer 202 once Redis has them.

        Raises:
            falcon.HTTPError: If the request is at fault.
            MetricsError: If Redis is.
        """
        grant = self._access.grant(req)
        body = read_bytes(req, self._body_max_bytes, self._slices.pause_if_due)
        self._slices.start()
        idempotency_key = idempotency_key_of(
            req.get_header("Idempotency-Key"), grant.token_id, body
        )
        post = _Post(req.content_type, body, grant, idempotency_key, req.context)
        arrival = self._now()
        builder = self._read(post, arrival)
        if post.idempotency_key is not None:
            first = self._commit.reserve(
                post.idempotency_key,
                arrival,
                monotonic() + ANSWER_DEADLINE_S,
                only_look=not _has_good(builder),
            )
            if first != arrival:
                # Read as the first time: the same hours, the same messages good and bad.
                arrival = first
                builder = self._read(post, arrival)
        if not _has_good(builder):
            raise _nothing_good(post, builder)
        try:
            batch = Batch(builder.columns(self._partitions), post.idempotency_key)
            # From here on, so that a body that took long to read still has its time for Redis.
            self._commit.append(batch, monotonic() + ANSWER_DEADLINE_S)
        except PartlyStoredError as error:
            raise self._partly_stored(post, arrival, error) from error
        post.count_messages(builder)
        answer: dict[str, object] = {"accepted": builder.accepted, "rejected": builder.rejected}
        if builder.errors:
            answer["errors"] = shown_errors(builder.errors)
        resp.status = falcon.HTTP_202
        resp.data = msgspec.json.encode(answer)

    def failed(
        self,
        problems: Problems,
        body: bytes,
        grant: Grant,
        idempotency_key: IdempotencyKey | None,
        arrival: float,
        error: MetricsError,
    ) -> tuple[Problem, object]:
        """Return the answer to a plain body that Redis did not take, and what became of it.

        Raises:
            MetricsError: That error, if it has no answer of its own.
        """
        if isinstance(error, PartlyStoredError):
            counters = SimpleNamespace()
            post = _Post("application/json", body, grant, idempotency_key, counters)
            return self._partly_stored(post, arrival, error), counters
        problem = problems.of(error)
        if problem is None:
            raise error
        return problem, None

    def _partly_stored(self, post: "_Post", arrival: float, error: PartlyStoredError) -> Problem:
        """Return the answer that says what is stored and what is not, loss reports included."""
        # Read once more, as it is rare: what is well keeps no index of each message.
        builder = self._read(
            post, arrival, lambda key: partition_of(key, self._partitions) in error.partitions
        )
        post.count_messages(builder)
        again = "the same body under the same Idempotency-Key" if post.idempotency_key else "those"
        good = builder.accepted + builder.reports + builder.left_out
        return unavailable(
            f"{builder.left_out} of {good} good messages and loss reports are not stored, "
            f"or may not be: {error.public}. Send {again} again.",
            stored=error.stored,
            accepted=builder.accepted,
            rejected=builder.rejected,
            retryable=builder.left_out,
            errors=shown_errors(builder.errors),
        )

    def builder(
        self,
        arrival: float,
        may_write: Callable[[str], bool] = EVERYTHING.covers,
        is_left_out: Callable[[str], bool] | None = None,
        pause_if_due: Callable[[], None] = lambda: None,
    ) -> BatchBuilder:
        """Return the empty builder of a request; see there."""
        return BatchBuilder(
            arrival=arrival,
            retention_days=self._retention_days,
            may_write=may_write,
            is_left_out=is_left_out,
            pause_if_due=pause_if_due,
        )

    def _read(
        self, post: "_Post", arrival: float, is_left_out: Callable[[str], bool] | None = None
    ) -> BatchBuilder:
        builder = self.builder(arrival, post.grant.covers, is_left_out, self._slices.pause_if_due)
        read_body(post.content_type, post.body, builder)
        return builder


def _has_good(builder: BatchBuilder) -> bool:
    """Return whether a request has anything to append."""
    return bool(builder.accepted or builder.reports)


def _nothing_good(post: "_Post", builder: BatchBuilder) -> Problem:
    """Return the answer to a request that has nothing to append."""
    post.count_messages(builder)
    forbidden = builder.rejected > 0 and builder.forbidden == builder.rejected
    return Problem(
        falcon.HTTP_403 if forbidden else falcon.HTTP_400,
        builder.errors[0].detail if builder.errors else "The body has no messages.",
        accepted=0,
        rejected=builder.rejected,
        errors=shown_errors(builder.errors),
    )


class _Post(msgspec.Struct, frozen=True, gc=False):
    """What came with a request. A struct, as it is made in a tenth of a dataclass' time."""

    content_type: str | None
    body: bytes
    grant: Grant
    idempotency_key: IdempotencyKey | None
    context: Any

    def count_messages(self, builder: BatchBuilder) -> None:
        """Say what became of its messages, for those who count."""
        self.context.accepted, self.context.rejected = builder.accepted, builder.rejected
        self.context.dropped = builder.dropped


def create_app(
    connection: Connection,
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,
    layout: Layout | None = None,
    commit: GroupCommit | None = None,
    with_greenlets: bool = True,
) -> WSGIApp:
    """Return the collector as a WSGI app.

    Args:
        connection: The way to Redis.
        settings: Of the process.
        now: Clock that gives a message its hour, in Unix seconds.
        layout: That of the process, if it has one already.
        commit: Appends the batches; one with queues of its own, if not given.
        with_greenlets: Whether each request has a greenlet; else it has a thread.
    """
    layout = layout or Layout(connection, partitions=settings.partitions)
    queues = None
    if commit is None:
        send = _appender(connection, settings, layout).send
        if with_greenlets:
            queues = NodeQueues(connection, send, partitions=settings.partitions)
        inline = InlineQueue(send)
        commit = GroupCommit(
            queues.of if queues else lambda _: inline,
            partitions=settings.partitions,
            window_s=settings.dedupe_seconds,
        )
    access = Access(settings.write_tokens)
    messages = Messages(
        commit,
        access=access,
        partitions=settings.partitions,
        retention_days=settings.retention_days,
        body_max_bytes=settings.body_max_bytes,
        now=now,
    )
    rules = CrossSiteRules.of(settings)
    app = falcon.App()
    problems = add_problems(app, ["POST /messages"])
    add_cross_site(app, rules, settings)
    add_health(app, connection, layout)
    request_counters = RequestCounters("collector", resource=messages, counters=_MESSAGE_COUNTERS)
    add_exposition(app, request_counters)
    app.add_route("/messages", messages)
    if queues is None:
        return app
    posts = FastPosts(
        queues,
        commit,
        builder=messages.builder,
        failed=partial(messages.failed, problems),
        write=problems.content,
        count=request_counters.count,
        partitions=settings.partitions,
        deadline_s=ANSWER_DEADLINE_S,
        now=now,
    )
    return FastPath(
        app, posts, access=access, body_max_bytes=settings.body_max_bytes, has_host=rules.has_host
    )


def get_app() -> WSGIApp:
    """Return the collector as the environment sets it up; for gunicorn, or any other WSGI server.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection, layout = load(
        os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=SENDERS + 1
    )
    if not settings.write_tokens:
        _log.warning(
            "METRICS_WRITE_TOKENS is not set: everybody who reaches this port may write; "
            "METRICS_HOST is %s",
            settings.host,
        )
    app = create_app(connection, settings, layout=layout, with_greenlets=has_greenlets())
    # What there is by now stays: the garbage collector need not go through it again and again.
    gc.freeze()
    return app


def _appender(connection: Connection, settings: Settings, layout: Layout) -> Appender:
    return Appender(
        connection,
        ensure_layout=layout.ensure,
        backlog_limit_entries=settings.backlog_limit_entries,
        window_s=settings.dedupe_seconds,
        replicas=settings.wait_replicas,
    )
