"""The collector: ``POST /messages`` appends messages to their streams."""

import logging
import os
import time
from collections.abc import Callable
from time import monotonic
from typing import Any

import falcon
import msgspec

from api.access import Access, Grant
from api.bodies import read_body
from api.draft import Draft, shown_errors
from api.group_commit import SENDERS, GroupCommit
from api.health import add_health
from api.problems import Problem, add_problems
from api.requests import mark_of, read_bytes
from api.startup import start
from metrics.connection import Connection
from metrics.layout import Layout
from metrics.message import AcceptedTimes
from metrics.settings import Settings
from metrics.stream import Batch

ANSWER_DEADLINE_S = 2.0
"""How long a request waits for Redis before it is answered 503."""

REDIS_TIMEOUT_S = 1.5

_log = logging.getLogger(__name__)


class Messages:
    """``/messages``: takes what apps measured."""

    def __init__(
        self,
        group: GroupCommit,
        *,
        access: Access,
        partitions: int,
        retention_days: int,
        body_max_bytes: int,
        now: Callable[[], float],
    ) -> None:
        """Set it up.

        Args:
            group: Appends the batches.
            access: Who may write which keys.
            partitions: How many there are.
            retention_days: How old a timestamp may be.
            body_max_bytes: How long a body may be, before and after decompression.
            now: The clock that gives a message its hour, in Unix seconds.
        """
        self._group = group
        self._access = access
        self._partitions = partitions
        self._retention_days = retention_days
        self._body_max_bytes = body_max_bytes
        self._now = now

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Append the messages of the body; answer 202 once Redis has them.

        Raises:
            falcon.HTTPError: If the request is at fault.
            MetricsError: If Redis is.
        """
        grant = self._access.grant(req)
        body = read_bytes(req, self._body_max_bytes)
        mark = mark_of(req, grant.owner, body)
        arrival = self._now()
        draft = self._draft(req, body, grant, arrival)
        # From here on, so that a body that took long to read still has its time for Redis.
        deadline = monotonic() + ANSWER_DEADLINE_S
        if mark is not None:
            first = self._group.register(mark, arrival, deadline)
            if first != arrival:
                # Read as the first time: the same hours, the same messages good and bad.
                draft = self._draft(req, body, grant, first)
        self._group.append(Batch(draft.columns(self._partitions), mark), deadline)
        answer: dict[str, object] = {"accepted": draft.accepted, "rejected": draft.rejected}
        if draft.errors:
            answer["errors"] = shown_errors(draft.errors)
        resp.status = falcon.HTTP_202
        resp.data = msgspec.json.encode(answer)

    def _draft(self, req: falcon.Request, body: bytes, grant: Grant, arrival: float) -> Draft:
        draft = Draft(
            arrival=arrival,
            times=AcceptedTimes.around(arrival, self._retention_days),
            may_write=grant.covers,
        )
        read_body(req.content_type, body, draft)
        if draft.accepted:
            return draft
        forbidden = draft.rejected > 0 and draft.forbidden == draft.rejected
        raise Problem(
            falcon.HTTP_403 if forbidden else falcon.HTTP_400,
            draft.errors[0].detail if draft.errors else "The body has no messages.",
            accepted=0,
            rejected=draft.rejected,
            errors=shown_errors(draft.errors),
        )


def create_app(
    connection: Connection, settings: Settings, *, now: Callable[[], float] = time.time
) -> falcon.App[Any, Any]:
    """Return the collector as a WSGI app.

    Args:
        connection: The way to Redis.
        settings: Of the process.
        now: Clock that gives a message its hour, in Unix seconds.
    """
    layout = Layout(partitions=settings.partitions)
    group = GroupCommit(
        connection,
        agree=lambda: layout.agree(connection),
        partitions=settings.partitions,
        backlog_limit_entries=settings.backlog_limit_entries,
        window_s=settings.dedupe_seconds,
        replicas=settings.wait_replicas,
    )
    messages = Messages(
        group,
        access=Access(settings.write_tokens),
        partitions=settings.partitions,
        retention_days=settings.retention_days,
        body_max_bytes=settings.body_max_bytes,
        now=now,
    )
    app = falcon.App()
    add_problems(app)
    add_health(app, connection, layout)
    app.add_route("/messages", messages)
    return app


def get_app() -> falcon.App[Any, Any]:
    """Return the collector as the environment sets it up; for gunicorn.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection = start(os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=SENDERS + 1)
    if not settings.write_tokens:
        _log.warning("METRICS_WRITE_TOKENS is not set: everybody who reaches this port may write")
    return create_app(connection, settings)
