"""Both services with a probe: how many greenlets a process has; and a leak, if one is wanted.

gunicorn starts them as ``ops.lab.endurance.probe:collector()`` and ``…:query()``.
"""

import gc
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
from greenlet import greenlet

from api.collector import get_app as collector_app
from api.query import get_app as query_app

FOLDER = "ENDURANCE_FOLDER"
"""The variable that names a folder: each process writes a file there, called as its id."""

LEAK = "ENDURANCE_LEAK"
"""The variable that says what collectors leak, one of ``LEAKS``."""

EVERY_S = 2.0
LEAKED_EVERY = 50
"""One leak for so many requests: little by little, as one that nobody notices in a day."""

LEAKS: dict[str, Callable[[], object]] = {
    "memory": lambda: b"x" * 65_536,
    "files": lambda: os.open(os.devnull, os.O_RDONLY),
    "connections": lambda: socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))),
    "greenlets": lambda: gevent.spawn(gevent.sleep, 1e6),
}


def collector() -> Any:  # noqa: ANN401
    """Return the collector, with the probe."""
    app, leak = collector_app(), os.environ.get(LEAK)
    _begin()
    return Leaking(app, LEAKS[leak]) if leak else app


def query() -> Any:  # noqa: ANN401
    """Return the query service, with the probe."""
    app = query_app()
    _begin()
    return app


def _begin() -> None:
    gevent.spawn(_watch, Path(os.environ[FOLDER]) / str(os.getpid()))


def _watch(file: Path) -> None:
    while True:
        alive = sum(isinstance(each, greenlet) and not each.dead for each in gc.get_objects())
        file.write_text(str(alive), "utf-8")
        gevent.sleep(EVERY_S)


class Leaking:
    """An app that now and then forgets to give back what it took.

    Args:
        app: The app; all that it has, this has too.
        take: Takes something.
    """

    def __init__(self, app: Any, take: Callable[[], object]) -> None:  # noqa: ANN401
        self._app = app
        self._take = take
        self._kept: list[object] = []
        self._asked = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._app, name)

    def __call__(self, *request: Any) -> Iterable[bytes]:  # noqa: ANN401
        """Answer a request."""
        self._asked += 1
        if self._asked % LEAKED_EVERY == 0:
            self._kept.append(self._take())
        answer: Iterable[bytes] = self._app(*request)
        return answer
