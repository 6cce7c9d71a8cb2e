"""Plain posts: bodies that came together are read together, and answered by what became of them.

An app that sends its messages one by one sends the same request again and again. So what can be
done for many of them at once is done at once: bodies that came in the same turn of the event loop
are decoded together. Each then waits in the send queue of its node.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import gevent
import msgspec

from api.collector import fast_json
from api.collector.batch_builder import BatchBuilder
from api.collector.group_commit import GroupCommit
from api.collector.node_queues import NodeQueues
from api.collector.send_queue import PendingAppend
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.hours import SECONDS_PER_HOUR
from metrics.stream import Batch, SingleMessage, failure_of

SINGLE_BYTES_MAX = 512
"""How long a body may be that is tried as one message: more is hardly one."""

READ_BYTES_MAX = 131_072
"""How much text is read at once, or one body; then others may go on."""

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

Outcome = Answer | MetricsError | None
"""An answer; or why Redis did not take the messages, or None if the body is not plain."""


class _Taken(msgspec.Struct, frozen=True):
    """What became of the messages of a request, for those who count."""

    accepted: int
    dropped: int = 0


_ONE = _Taken(1)


class FastPosts:
    """Takes bodies of requests that have nothing else to be looked at.

    Each request has a greenlet, which waits here.

    Args:
        queues: Where what was read waits for Redis.
        commit: Appends what is on several nodes.
        builder: Returns the builder of a request that came at a time, in Unix seconds.
        count: Counts each answer that is given here, by its status and by what became of its
            messages.
        partitions: How many partitions there are.
        deadline_s: How long a request waits for Redis, in seconds.
        now: The clock that gives a message its hour, in Unix seconds.
    """

    def __init__(
        self,
        queues: NodeQueues,
        commit: GroupCommit,
        *,
        builder: Callable[[float], BatchBuilder],
        count: Callable[[int, object], None],
        partitions: int,
        deadline_s: float,
        now: Callable[[], float],
    ) -> None:
        self._queues = queues
        self._commit = commit
        self._builder = builder
        self._count = count
        self._partitions = partitions
        self._deadline_s = deadline_s
        self._now = now
        self._loop = gevent.get_hub().loop
        self._unread: list[tuple[bytes, PendingAppend[Any]]] = []

    def take(self, body: bytes) -> Outcome:
        """Append the messages of a body; return the answer once Redis has them.

        Args:
            body: JSON, all of it.
        """
        pending: PendingAppend[Any] = PendingAppend(None, 0, monotonic() + self._deadline_s)
        self._unread.append((body, pending))
        if len(self._unread) == 1:
            # It runs when those that can run now have run, so that it finds their bodies too.
            self._loop.run_callback(self._read)
        failures = pending.get()
        if failures == {} and isinstance(pending.item, SingleMessage):
            self._count(202, _ONE)
            return _ONE_ACCEPTED
        if failures is None or isinstance(failures, MetricsError):
            return failures
        if isinstance(failures, Exception):
            raise failures
        return self._outcome(pending, failures)

    def _outcome(self, pending: PendingAppend[Any], failures: Any) -> Outcome:  # noqa: ANN401
        item = pending.item
        batch = Batch({item.partition: []}) if isinstance(item, SingleMessage) else item
        if failures is _ON_SEVERAL_NODES:
            try:
                self._commit.append(batch, pending.deadline)
            except MetricsError as error:
                return error
        elif failures:
            return failure_of(batch, failures)
        columns = [column for some in batch.columns.values() for column in some]
        accepted = sum(column.messages for column in columns)
        self._count(202, _Taken(accepted, sum(column.dropped for column in columns)))
        return _accepted(accepted)

    def _read(self) -> None:
        unread = self._next_to_read()
        try:
            items = self._items([body for body, _ in unread])
        except Exception as error:  # noqa: BLE001  (each request raises it for itself)
            items = [error] * len(unread)
        for (_, pending), item in zip(unread, items, strict=True):
            if isinstance(item, SingleMessage | Batch):
                self._put(pending, item)
            else:
                pending.switch(item)

    def _next_to_read(self) -> list[tuple[bytes, PendingAppend[Any]]]:
        """Return what is read in this turn of the event loop; the rest comes in the next."""
        count = length = 0
        for body, _ in self._unread:
            length += len(body)
            if count and length > READ_BYTES_MAX:
                break
            count += 1
        unread, self._unread = self._unread[:count], self._unread[count:]
        if self._unread:
            self._loop.run_callback(self._read)
        return unread

    def _items(self, bodies: Sequence[bytes]) -> list[SingleMessage | Batch | Exception | None]:
        """Return what was read of each body, None if it is not plain."""
        arrival = self._now()
        short = [i for i, body in enumerate(bodies) if len(body) <= SINGLE_BYTES_MAX]
        hour = int(arrival // SECONDS_PER_HOUR)
        found = fast_json.read_singles([bodies[i] for i in short], hour, self._partitions)
        singles = dict(zip(short, found, strict=True)) if found else {}
        return [singles.get(i) or self._batch(body, arrival) for i, body in enumerate(bodies)]

    def _batch(self, body: bytes, arrival: float) -> Batch | None:
        builder = self._builder(arrival)
        if not fast_json.read(body, builder) or not builder.accepted:
            return None
        return Batch(builder.columns(self._partitions))

    def _put(self, pending: PendingAppend[Any], item: SingleMessage | Batch) -> None:
        pending.item = item
        try:
            if not self._queues.put(pending):
                pending.switch(_ON_SEVERAL_NODES)
        except StorageUnavailableError as error:
            pending.switch(error)


_ON_SEVERAL_NODES = object()


def _accepted(messages: int) -> Answer:
    body = b'{"accepted":%d,"rejected":0}' % messages
    headers = [("content-length", str(len(body))), ("content-type", "application/json")]
    return "202 Accepted", headers, body


_ONE_ACCEPTED = _accepted(1)
