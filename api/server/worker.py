"""gunicorn's gevent worker, with an HTTP server of our own around the WSGI app.

gunicorn's own serve fewer requests (``ops.lab.bench.ingest``), wait for ever for one that
does not come, and pass requests on whose length is given twice.
"""

import logging
import signal
from collections import Counter
from collections.abc import Sequence
from email.utils import formatdate
from functools import partial
from time import monotonic
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIServer

from api.server.address import Addresses, network_of
from api.server.bodies import BODIES_BYTES_MAX, Bodies
from api.server.connection import NO_DEADLINE, Connection, DeadlineError
from api.server.head import HeadCache
from api.server.request_id import new_ids
from metrics.throttled_log import ThrottledLog

TICK_S = 0.25
"""How often deadlines are looked at: none costs a timer of its own."""

ACCEPT_PAUSE_S = 0.0005
"""Pause after ``accept()``, so that sibling processes at that socket get the next connection."""

_log = logging.getLogger(__name__)


class Server(PyWSGIServer):  # type: ignore[misc]  # gunicorn has no types
    """The listener of a worker process.

    Attributes:
        idle: Connections that ask nothing just now, and the address of each; the one that has
            done so for longest is first.
        deadlines: Until when each connection must have said more, on the monotonic clock.
        heads: Reads heads of requests.
        bodies: The room for bodies that are coming in.
        addresses: How many connections each address has.
        count_refused: Counts a connection that is one too many of its address.
        greedy: Who has had its turns and pauses for the others.
        date: Of now, as HTTP writes it.
        new_id: Draws the id of a request.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  (gevent's own)
        heads: HeadCache | None = None,
        per_address_max: int | None = None,
        bodies_bytes_max: int = BODIES_BYTES_MAX,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.idle: dict[gevent.Greenlet, str] = {}
        self.deadlines: dict[gevent.Greenlet, float] = {}
        self.heads = heads or HeadCache(getattr(self.application, "shortcut", lambda _: None))
        self.addresses = Addresses(per_address_max)
        self.count_refused = getattr(self.application, "count_refused", lambda: None)
        count_body = getattr(self.application, "count_refused_body", lambda: None)
        self.bodies = Bodies(bodies_bytes_max, count_body)
        self.greedy = BoundedSemaphore(1)
        self.date = formatdate(usegmt=True).encode()
        self.new_id = new_ids()
        self._log = ThrottledLog(_log)
        self._ticking = gevent.spawn(self._tick)

    def do_handle(self, *args: Any) -> None:  # noqa: ANN401  (gevent's own)
        """Serve a connection, and let other processes have the next."""
        # In the hub, so that it cannot get a request between the look and the end.
        self._make_room_of(args)
        super().do_handle(*args)
        if self.pool is not None and not self.pool.free_count():
            self._make_room()
        if self.max_accept == 1:  # gunicorn says so where there are several
            self.stop_accepting()
            self._timer = self.loop.timer(ACCEPT_PAUSE_S)
            self._timer.start(self._start_accepting_if_started)

    def _make_room(self) -> None:
        """Close an idle connection, so that another can come.

        It is the oldest of the address that has most: who opens many takes them from itself.
        """
        self._log.log(
            "full",
            "%d connections are open, as many as METRICS_CONNECTIONS_MAX allows: idle ones are "
            "closed for new ones",
            self.pool.size,
        )
        if self.idle:
            ((address, _),) = Counter(self.idle.values()).most_common(1)
            self._close_oldest_of(address)

    def _make_room_of(self, accepted: Sequence[Any]) -> None:
        """Close an idle connection of an address that has all that it may have."""
        address = accepted[1] if len(accepted) > 1 else ""
        host = network_of(address[0]) if isinstance(address, tuple) else ""
        if not self.addresses.has_room(host):
            self._close_oldest_of(host)

    def _close_oldest_of(self, address: str) -> None:
        oldest = next((each for each, of in self.idle.items() if of == address), None)
        if oldest is not None:
            del self.idle[oldest]
            oldest.throw(gevent.GreenletExit)

    def log_fault(self, error: Exception) -> None:
        """Log what the app raised, each kind once a minute."""
        kind = type(error).__name__
        self._log.log(kind, "the app failed: %s", kind, level=logging.ERROR, error=error)

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
            # In the hub, where nothing can come between the look and what is done for it.
            self.loop.run_callback(self._look_at_deadlines)
            gevent.sleep(TICK_S)

    def _look_at_deadlines(self) -> None:
        now = monotonic()
        for connection in [each for each, until in self.deadlines.items() if until < now]:
            self.deadlines[connection] = NO_DEADLINE
            connection.throw(DeadlineError)
        if self.pool is not None and not self.pool.free_count():
            self._make_room()


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]
    """What gunicorn's ``worker_class`` names."""

    server_class = Server
    wsgi_handler = Connection

    connections_per_address_max: int | None = None
    """How many connections of one address there may be; the master may say so."""

    bodies_bytes_max: int = BODIES_BYTES_MAX
    """How long all bodies that are coming in may be together; the same."""

    def load_wsgi(self) -> None:
        """Load the app, and make what its servers share."""
        super().load_wsgi()
        self._heads = HeadCache(getattr(self.wsgi, "shortcut", lambda _: None))
        self.server_class = partial(  # type: ignore[assignment]  # what makes one will do
            Server,
            heads=self._heads,
            per_address_max=self.connections_per_address_max,
            bodies_bytes_max=self.bodies_bytes_max,
        )

    def init_signals(self) -> None:
        """Take SIGHUP for a request to read again what can change while requests are served."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self._handle_hangup)

    def _handle_hangup(self, number: int, frame: object) -> None:
        # A signal comes anywhere: also where a request just looks at what would be replaced.
        gevent.spawn(self._reload)

    def _reload(self) -> None:
        reload = getattr(self.wsgi, "reload", None)
        if reload is not None:
            reload()
            # What they let in may no longer be.
            self._heads.forget()
