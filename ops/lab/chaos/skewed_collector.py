"""A collector whose clock is off by as much as a file says, at this moment.

gunicorn starts it as ``ops.lab.chaos.skewed_collector:get_app()``, of the collector's own parts.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from api.collector.app import REDIS_TIMEOUT_S, create_app
from api.collector.fast_path import WSGIApp
from api.collector.send_queue import SENDERS
from api.startup import load

OFFSET_FILE = "CHAOS_CLOCK_OFFSET_FILE"
"""The variable that names the file; the file holds seconds, ``-240.5``."""


def skewed(offset: Path) -> Callable[[], float]:
    """Return a clock that is off by as many seconds as stand in a file when it is read."""
    return lambda: time.time() + float(offset.read_text("utf-8"))


def get_app() -> WSGIApp:
    """Return the collector as the environment sets it up, with that clock.

    Raises:
        SystemExit: If it cannot start with these settings.
    """
    settings, connection, layout = load(
        os.environ, timeout_s=REDIS_TIMEOUT_S, connections_max=SENDERS + 1
    )
    now = skewed(Path(os.environ[OFFSET_FILE]))
    return create_app(connection, settings, now=now, layout=layout)
