"""How both services start: settings, Redis, layout; or one clear line and no service."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from api.access import Access
from metrics.connection import Connection
from metrics.errors import SettingsError, StorageUnavailableError, StorageUnsoundError
from metrics.layout import Layout
from metrics.settings import Settings

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

EXIT_CONFIG = 4
"""Exit status that lets gunicorn stop, instead of starting the process again and again."""

_log = logging.getLogger(__name__)


def load(
    environ: Mapping[str, str], *, timeout_s: float, connections_max: int
) -> tuple[Settings, Connection, Layout]:
    """Return the settings of a service, its way to Redis, and the layout that it found there.

    A Redis that is away is no reason not to start: requests are answered 503 until it is there.

    Args:
        environ: Variables of the process.
        timeout_s: How long a reply of Redis may take.
        connections_max: How many connections to it the process may have.

    Raises:
        SystemExit: If the settings cannot be used, or Redis holds what others have made.
    """
    with or_refuse():
        settings = Settings.from_env(environ)
        connection = Connection.open(
            settings.redis_url,
            timeout_s=timeout_s,
            connections_max=connections_max,
            tls=settings.redis_tls,
        )
        layout = Layout(connection, partitions=settings.partitions)
        try:
            layout.ensure()
        except (StorageUnavailableError, StorageUnsoundError) as error:
            _log.warning("answering 503 until Redis is well: %s", error)
    return settings, connection, layout


@contextmanager
def or_refuse() -> Iterator[None]:
    """End the process with one line where settings cannot be used.

    Raises:
        SystemExit: If so.
    """
    try:
        yield
    except SettingsError as error:
        _log.critical("refusing to start: %s", error)
        sys.exit(EXIT_CONFIG)


class Service:
    """A WSGI app that reads its tokens again when the server gets SIGHUP.

    Args:
        app: The app.
        access: What it knows of tokens.
        count_refused: Counts a connection that the server refuses.
        count_refused_body: Counts a body that it has no room for.
    """

    def __init__(
        self,
        app: WSGIApp,
        access: Sequence[Access],
        *,
        count_refused: Callable[[], None],
        count_refused_body: Callable[[], None],
    ) -> None:
        self._app = app
        self.count_refused = count_refused
        self.count_refused_body = count_refused_body
        self._access = access
        # Servers of ours ask it for what answers requests of one kind.
        if hasattr(app, "shortcut"):
            self.shortcut = app.shortcut

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer a request."""
        return self._app(environ, start_response)

    def reload(self) -> None:
        """Read the tokens again."""
        for each in self._access:
            each.reload()
