"""gunicorn's gevent worker, with an HTTP server of our own around the WSGI app.

gunicorn's own serve a half to two thirds as many requests (ops/bench/http_workers.py), wait for
ever for a request that does not come, and pass requests on whose length is told twice.
"""

from email.utils import formatdate
from time import monotonic
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIServer

from ops.http_connection import FOREVER, Connection, TooSlowError
from ops.http_request import KnownHeads

TICK_S = 0.25
"""How often deadlines are looked at: none costs a timer of its own."""

ACCEPT_PAUSE_S = 0.0005
"""How long a process that took a connection leaves the next to others at the same socket. Else the
one that is awake takes most of them, and the others idle."""


class Server(PyWSGIServer):  # type: ignore[misc]  # gunicorn has no types
    """The listener of a worker process.

    Attributes:
        idle: Connections that ask nothing just now.
        deadlines: Until when each connection must have said more, on the monotonic clock.
        heads: Those of requests that came before.
        date: Of now, as HTTP writes it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (gevent's own)
        super().__init__(*args, **kwargs)
        self.idle: set[gevent.Greenlet] = set()
        self.deadlines: dict[gevent.Greenlet, float] = {}
        self.heads = KnownHeads(getattr(self.application, "shortcut", lambda _: None))
        self.date = formatdate(usegmt=True).encode()
        self._ticking = gevent.spawn(self._tick)

    def do_handle(self, *args: Any) -> None:  # noqa: ANN401  (gevent's own)
        """Serve a connection, and let other processes have the next."""
        super().do_handle(*args)
        if self.max_accept == 1:  # gunicorn says so where there are several
            self.stop_accepting()
            self._timer = self.loop.timer(ACCEPT_PAUSE_S)
            self._timer.start(self._start_accepting_if_started)

    def close(self) -> None:
        """Stop listening, and hang up on those that ask nothing just now."""
        super().close()
        self.loop.run_callback(self._hang_up)

    def _hang_up(self) -> None:
        # In the hub, so that none of them can get a request between the look and the end.
        for connection in list(self.idle):
            connection.throw(gevent.GreenletExit)

    def _tick(self) -> None:
        while True:
            self.date = formatdate(usegmt=True).encode()
            now = monotonic()
            for connection, deadline in list(self.deadlines.items()):
                if deadline < now:
                    self.deadlines[connection] = FOREVER
                    connection.kill(TooSlowError, block=False)
            gevent.sleep(TICK_S)


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """What gunicorn's ``worker_class`` names."""

    server_class = Server
    wsgi_handler = Connection
