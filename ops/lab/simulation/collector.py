"""A simulated collector: the real app, and a group commit like the real one without gevent."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any, cast

from api.collector.app import create_app
from metrics.connection import Connection
from metrics.errors import StorageUnavailableError, Stored
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.stream import Appender, Batch, Failures, Mark, Registration, failure_of
from metrics.topology import Topology
from ops.lab.simulation.faults import ANSWERED_LATE
from ops.lab.simulation.node import SimulatedNode, Wire
from ops.lab.simulation.processes import NEVER, Process

SENDERS = 2
"""Round trips of one collector that may be under way at once."""

PATIENCE_STEPS_MAX = 30
"""How long a request waits that is answered before Redis answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got to see.

    Attributes:
        status: Of the answer.
        content: Its JSON.
    """

    status: int
    content: dict[str, Any]


@dataclass(slots=True, eq=False)
class Request:
    """A request that a collector has.

    Attributes:
        body: Its body.
        headers: Its headers, as WSGI names them.
        answer: What came of it, once it is over; nothing if the collector was killed.
    """

    body: bytes
    headers: dict[str, str]
    answer: Answer | None = None
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Waiting:
    item: Batch | Registration
    outcome: object = None
    is_settled: bool = False


class _Whole(BytesIO):
    """A body as our HTTP server gives it: it tells that all of it is there."""

    is_whole = True


class Collector(Process):
    """A collector process. It begins again with nothing when it was killed.

    Args:
        name: For the trace.
        wire: The way to Redis.
        settings: Of the process.
        ahead_s: How far its clock is ahead of the true time.
    """

    def __init__(self, name: str, wire: Wire, settings: Settings, *, ahead_s: float) -> None:
        super().__init__(wire.scheduler, name)
        self._wire = wire
        self._settings = settings
        self._ahead_s = ahead_s
        self._connection = self._connect()
        self._app = create_app(self._connection, settings, now=self._now, group=self)
        self._requests: list[Request] = []

    def boot(self) -> None:
        """Begin with no requests."""
        for request in self._requests:
            request.is_over = True
        self._requests = []
        self._waiting: deque[_Waiting] = deque()
        connection = self._connect()
        layout = Layout(partitions=self._settings.partitions, monotonic=self._slow)
        self._appender = Appender(
            connection,
            agree=lambda: layout.agree(connection),
            backlog_limit_entries=self._settings.backlog_limit_entries,
            window_s=self._settings.dedupe_seconds,
            draw=self._wire.draw,
        )
        for _ in range(SENDERS):
            self.start(self._send_forever)

    def receive(self, body: bytes, headers: dict[str, str]) -> Request:
        """Begin with a request."""
        request = Request(body, headers)
        self._requests.append(request)
        self.start(lambda: self._answer(request))
        return request

    def register(self, mark: Mark, arrival: float, deadline: float) -> float:
        """Return when the first request under an idempotency key came; see ``GroupCommit``."""
        registration = Registration(
            mark,
            arrival,
            partitions=self._settings.partitions,
            window_s=self._settings.dedupe_seconds,
        )
        try:
            return cast("float", self._outcome_of(registration))
        except StorageUnavailableError:
            return arrival

    def append(self, batch: Batch, deadline: float) -> None:
        """Append a batch; when this returns, Redis has it; see ``GroupCommit``.

        Raises:
            MetricsError: If Redis does not have it, or may not.
        """
        try:
            failures = cast("Failures", self._outcome_of(batch))
        except StorageUnavailableError as error:
            failures = dict.fromkeys(batch.columns, error)
        failure = failure_of(batch, failures)
        if failure is not None:
            raise failure

    def _outcome_of(self, item: Batch | Registration) -> object:
        waiting = _Waiting(item)
        self._waiting.append(waiting)
        due = NEVER
        if self._wire.faults.of_request(ANSWERED_LATE):
            due = self._wire.scheduler.steps + self._wire.random.randrange(PATIENCE_STEPS_MAX)
        self._wire.scheduler.wait_until(lambda: waiting.is_settled, due)
        if not waiting.is_settled:
            raise self._late(waiting)
        if isinstance(waiting.outcome, Exception):
            raise waiting.outcome
        return waiting.outcome

    def _late(self, waiting: _Waiting) -> StorageUnavailableError:
        stored: Stored = "no" if isinstance(waiting.item, Registration) else "unknown"
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            stored = "no"
        return StorageUnavailableError("Redis does not answer.", stored=stored)

    def _send_forever(self) -> None:
        while True:
            self._wire.scheduler.wait_until(lambda: bool(self._waiting))
            group = list(self._waiting)
            self._waiting.clear()
            outcomes: Sequence[object]
            try:
                outcomes = self._appender.send([waiting.item for waiting in group])
            except Exception as error:  # noqa: BLE001  (each request raises it for itself)
                outcomes = [error] * len(group)
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.outcome = outcome
                waiting.is_settled = True

    def _answer(self, request: Request) -> None:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/messages",
            "QUERY_STRING": "",
            "SCRIPT_NAME": "",
            "SERVER_NAME": self.name,
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.input": _Whole(request.body),
            "wsgi.errors": StringIO(),
            "wsgi.url_scheme": "http",
            **request.headers,
        }
        status = ""

        def start_response(
            line: str, headers: list[tuple[str, str]], info: object = None
        ) -> Callable[[bytes], object]:
            nonlocal status
            status = line
            return lambda data: None

        content = b"".join(self._app(environ, start_response))
        request.answer = Answer(int(status.split()[0]), json.loads(content))
        request.is_over = True

    def _connect(self) -> Connection:
        return Connection(Topology(SimulatedNode(self._wire, self), monotonic=self._monotonic))

    def _now(self) -> float:
        return self._wire.scheduler.now + self._ahead_s

    def _monotonic(self) -> float:
        return self._wire.scheduler.now

    def _slow(self) -> float:
        return self._wire.scheduler.now / 20
