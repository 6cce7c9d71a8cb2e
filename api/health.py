"""``/healthz`` and ``/readyz`` of both services."""

from typing import Any

import falcon
import msgspec

from metrics.connection import Connection, command
from metrics.layout import Layout

_OK = msgspec.json.encode({"status": "ok"})


class Healthz:
    """Whether the process lives."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = _OK


class Readyz:
    """Whether the process reaches Redis and finds there what it expects."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the reason.

        Raises:
            MetricsError: If Redis is away or another's.
        """
        self._connection.ask(command("PING"))
        self._layout.ensure()
        resp.data = _OK


def add_health(app: falcon.App[Any, Any], connection: Connection, layout: Layout) -> None:
    """Give an app its health routes."""
    app.add_route("/healthz", Healthz())
    app.add_route("/readyz", Readyz(connection, layout))
