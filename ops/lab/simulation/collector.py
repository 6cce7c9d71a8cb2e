"""A simulated collector: the real app and group commit, with a queue that a schedule drives."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

from falcon import testing

from api.collector.app import create_app
from api.collector.group_commit import GroupCommit
from api.collector.key_counts import NONE_REFUSED, Refusal
from metrics.connection import Connection
from metrics.errors import StorageUnavailableError, Stored
from metrics.hours import Hour
from metrics.idempotency import Reservation
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.stream import Appender, Item
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


class _PendingAppend:
    """An item in a simulated queue."""

    def __init__(self, queue: "_Queue", item: Item) -> None:
        self.item = item
        self.outcome: object = None
        self.is_settled = False
        self._queue = queue

    def result(self) -> object:
        """Wait for its outcome; now and then not to the end, as at a deadline.

        Raises:
            Exception: What kept its group from being sent, or that it took too long.
        """
        self._queue.wait_for(self)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class _Queue:
    """What a collector sends to Redis, group by group.

    Args:
        wire: The way to Redis.
        send: Sends items, as ``Appender.send`` does.
    """

    def __init__(self, wire: Wire, send: Callable[[Sequence[Item]], Sequence[object]]) -> None:
        self._wire = wire
        self._send = send
        self._waiting: deque[_PendingAppend] = deque()

    def submit(self, item: Item, length: int, deadline: float) -> _PendingAppend:
        """Put an item into the queue."""
        pending = _PendingAppend(self, item)
        self._waiting.append(pending)
        return pending

    def wait_for(self, pending: _PendingAppend) -> None:
        """Wait until an item is settled."""
        due = NEVER
        if self._wire.faults.of_request(ANSWERED_LATE):
            due = self._wire.scheduler.steps + self._wire.random.randrange(PATIENCE_STEPS_MAX)
        self._wire.scheduler.wait_until(lambda: pending.is_settled, due)
        if not pending.is_settled:
            pending.outcome = self._late(pending)

    def send_forever(self) -> None:
        """Send all that waits, again and again."""
        while True:
            self._wire.scheduler.wait_until(lambda: bool(self._waiting))
            group = list(self._waiting)
            self._waiting.clear()
            outcomes: Sequence[object]
            try:
                outcomes = self._send([pending.item for pending in group])
            except Exception as error:  # noqa: BLE001  (each request raises it for itself)
                outcomes = [error] * len(group)
            for pending, outcome in zip(group, outcomes, strict=True):
                pending.outcome = outcome
                pending.is_settled = True

    def _late(self, pending: _PendingAppend) -> StorageUnavailableError:
        stored: Stored = "no" if isinstance(pending.item, Reservation) else "unknown"
        if pending in self._waiting:
            self._waiting.remove(pending)
            stored = "no"
        return StorageUnavailableError("Redis does not answer.", stored=stored)


class _Whole(BytesIO):
    """A body as our HTTP server gives it: it tells that all of it is there."""

    is_complete = True


class EveryKey:
    """There is room for every key: schedules are about messages."""

    def is_unknown(self, key: str) -> bool:
        """Return False."""
        return False

    def let_in(self, keys: Mapping[str, Hour]) -> Refusal:
        """Let all in."""
        return NONE_REFUSED


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
        commit = GroupCommit(
            lambda _: self._queue,
            partitions=settings.partitions,
            window_s=settings.dedupe_seconds,
        )
        self._app = create_app(
            self._connection, settings, now=self._now, commit=commit, keys=EveryKey()
        )
        self._requests: list[Request] = []

    def boot(self) -> None:
        """Begin with no requests."""
        for request in self._requests:
            request.is_over = True
        self._requests = []
        connection = self._connect()
        layout = Layout(connection, partitions=self._settings.partitions, monotonic=self._slow)
        appender = Appender(
            connection,
            ensure_layout=layout.ensure,
            backlog_limit_entries=self._settings.backlog_limit_entries,
            window_s=self._settings.dedupe_seconds,
            new_nonce=self._wire.new_nonce,
        )
        self._queue = _Queue(self._wire, appender.send)
        for _ in range(SENDERS):
            self.start(self._queue.send_forever)

    def receive(self, body: bytes, headers: dict[str, str]) -> Request:
        """Begin with a request."""
        request = Request(body, headers)
        self._requests.append(request)
        self.start(lambda: self._answer(request))
        return request

    def _answer(self, request: Request) -> None:
        environ = testing.create_environ("/messages", method="POST", wsgierrors=StringIO())
        environ |= {"wsgi.input": _Whole(request.body), **request.headers}
        environ["CONTENT_LENGTH"] = str(len(request.body))
        begun = testing.StartResponseMock()
        content = b"".join(self._app(environ, begun))
        request.answer = Answer(int(str(begun.status)[:3]), json.loads(content))
        request.is_over = True

    def _connect(self) -> Connection:
        return Connection(Topology(SimulatedNode(self._wire, self), monotonic=self._monotonic))

    def _now(self) -> float:
        return self._wire.scheduler.now + self._ahead_s

    def _monotonic(self) -> float:
        return self._wire.scheduler.now

    def _slow(self) -> float:
        return self._wire.scheduler.now / 20
