"""Plain posts: bodies that came together are read together, and answered by what became of them.

An app that sends its messages one by one sends the same request again and again. So what can be
done for many of them at once is done at once: bodies that came in the same turn of the event loop
are decoded together. Each then waits in the send queue of its node.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import falcon
import gevent
import msgspec

from api.access import EVERYTHING, Grant
from api.collector import fast_json
from api.collector.batch_builder import BatchBuilder
from api.collector.group_commit import GroupCommit
from api.collector.key_limit import Keys
from api.collector.node_queues import NodeQueues
from api.collector.request_body import LITTLE_BYTES, idempotency_key_of
from api.collector.send_queue import PendingAppend
from api.collector.series import MessageSeries
from api.exposition import RequestSeries
from api.problems import Problem
from api.time_slices import SLICE_S, TimeSlices
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.hours import SECONDS_PER_HOUR
from metrics.idempotency import IdempotencyKey
from metrics.keyspace import key_of
from metrics.problem import PROBLEM_JSON
from metrics.stream import Batch, SingleMessage, failure_of

SINGLE_BYTES_MAX = 512
"""How long a body may be that is tried as one message: more is hardly one."""

PAUSE_S = 0.0005
"""How long others may go on after a slice: one turn of the loop, in which short bodies come."""

_ROUTE = "/messages"

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

Failed = Callable[[bytes, Grant, IdempotencyKey | None, float, MetricsError], Problem]
"""Returns the answer to a body that Redis did not take, or not all of it."""


class _Unread(msgspec.Struct, frozen=True, gc=False):
    """A body that came in this turn of the event loop."""

    body: bytes
    grant: Grant
    pending: PendingAppend[Any]


class FastPosts:
    """Takes bodies of requests whose head is plain.

    Each request has a greenlet, which waits here.

    Args:
        queues: Where what was read waits for Redis.
        commit: Appends what is on several nodes, or has an Idempotency-Key.
        builder: Returns the builder of a request that came at a time, in Unix seconds, and may
            write some keys, but leaves others out.
        failed: Returns the answer to what Redis did not take.
        write: Returns the content of such an answer.
        requests: Counts each answer that is given here.
        messages: Counts the messages of each.
        keys: Knows which keys Redis need not be asked for.
        partitions: How many partitions there are.
        deadline_s: How long a request waits for Redis, in seconds.
        now: The clock that gives a message its hour, in Unix seconds.
        slices: In which bodies under an Idempotency-Key are read.
    """

    def __init__(
        self,
        queues: NodeQueues,
        commit: GroupCommit,
        *,
        builder: Callable[[float, Callable[[str], bool], Callable[[str], bool]], BatchBuilder],
        failed: Failed,
        write: Callable[[Problem], bytes],
        requests: RequestSeries,
        messages: MessageSeries,
        keys: Keys,
        partitions: int,
        deadline_s: float,
        now: Callable[[], float],
        slices: TimeSlices,
    ) -> None:
        self._queues = queues
        self._commit = commit
        self._builder = builder
        self._failed = failed
        self._write = write
        self._requests = requests
        self._messages = messages
        self._keys = keys
        self._partitions = partitions
        self._deadline_s = deadline_s
        self._now = now
        self._slices = slices
        self._loop = gevent.get_hub().loop
        self._unread: list[_Unread] = []
        self._answered: list[float] = []
        self._pause: Any = None  # kept, since a timer that nobody has never fires

    def take(self, body: bytes, grant: Grant = EVERYTHING) -> Answer | None:
        """Append the messages of a body; return the answer once Redis has them, or has failed.

        Args:
            body: JSON, all of it.
            grant: Which keys it may write.

        Returns:
            None if the body is not plain; nothing was done then.
        """
        pending: PendingAppend[Any] = PendingAppend(None, 0, monotonic() + self._deadline_s)
        self._unread.append(_Unread(body, grant, pending))
        if len(self._unread) == 1:
            # It runs when those that can run now have run, so that it finds their bodies too.
            self._loop.run_callback(self._read)
        failures = pending.get()
        item = pending.item
        if failures == {} and isinstance(item, SingleMessage):
            return self._one_accepted(pending.deadline)
        if failures is None:
            return None
        if isinstance(failures, Exception) and not isinstance(failures, MetricsError):
            raise failures
        batch = Batch({item.partition: []}) if isinstance(item, SingleMessage) else item
        error = failures if isinstance(failures, MetricsError) else None
        if failures is _ON_SEVERAL_NODES:
            error = self._append(batch, pending.deadline)
        elif failures and error is None:
            error = failure_of(batch, failures)
        if error is not None:
            problem = self._failed(body, grant, None, self._now(), error)
            return self._refusal(problem, pending.deadline, error)
        return self._accepted(batch, pending.deadline)

    def take_once(self, body: bytes, grant: Grant, key: str) -> Answer | None:
        """Do what ``take`` does for a body under an Idempotency-Key: it counts once.

        Args:
            body: JSON, all of it.
            grant: Which keys it may write.
            key: The key.
        """
        self._slices.start(is_little=len(body) <= LITTLE_BYTES)
        arrival = self._now()
        deadline = monotonic() + self._deadline_s
        batch = self._batch(body, arrival, grant)
        if batch is None:
            return None
        idempotency_key = None
        try:
            idempotency_key = idempotency_key_of(key, grant.token_id, body)
            if idempotency_key is None:
                return None
            first = self._commit.reserve(idempotency_key, arrival, deadline)
            if first != arrival:
                arrival = first
                batch = self._batch(body, arrival, grant)
                if batch is None:  # not all of it was good the first time
                    return None
            self._commit.append(Batch(batch.columns, idempotency_key), deadline)
        except Problem as problem:
            return self._refusal(problem, deadline, None)
        except MetricsError as error:
            failed = self._failed(body, grant, idempotency_key, arrival, error)
            return self._refusal(failed, deadline, error)
        return self._accepted(batch, deadline)

    def _append(self, batch: Batch, deadline: float) -> MetricsError | None:
        try:
            self._commit.append(batch, deadline)
        except MetricsError as error:
            return error
        return None

    def _one_accepted(self, deadline: float) -> Answer:
        self._answered.append(deadline)
        if len(self._answered) == 1:
            # It runs when all that Redis answered together are answered.
            self._loop.run_callback(self._count_answered)
        return _ONE_ACCEPTED

    def _count_answered(self) -> None:
        """Count the single messages that were answered in this turn of the event loop."""
        deadlines, self._answered = self._answered, []
        began_with = monotonic() + self._deadline_s
        self._requests.count(_ROUTE, 202, [began_with - deadline for deadline in deadlines])
        self._messages.count(len(deadlines))

    def _count_request(self, status: int, deadline: float) -> None:
        self._requests.count(_ROUTE, status, [monotonic() + self._deadline_s - deadline])

    def _accepted(self, batch: Batch, deadline: float) -> Answer:
        columns = [column for some in batch.columns.values() for column in some]
        accepted = sum(column.messages for column in columns)
        self._count_request(202, deadline)
        self._messages.count(accepted, dropped=sum(column.dropped for column in columns))
        return _accepted(accepted)

    def _refusal(self, problem: Problem, deadline: float, cause: MetricsError | None) -> Answer:
        problem.__cause__ = cause
        self._count_request(problem.status_code, deadline)
        content = self._write(problem)
        own = [(name.lower(), value) for name, value in dict(problem.headers or {}).items()]
        headers = [*own, ("content-type", PROBLEM_JSON), ("content-length", str(len(content)))]
        return falcon.code_to_http_status(problem.status), headers, content

    def _read(self) -> None:
        """Read what came: short bodies together, others one by one, for ``SLICE_S`` at a time."""
        unread, self._unread = self._unread, []
        arrival, began = self._now(), monotonic()
        singles = self._singles(unread, arrival)
        longer = []
        for each, message in zip(unread, singles, strict=True):
            if message is None:
                longer.append(each)
            else:
                self._put(each.pending, message)
        for place, each in enumerate(longer):
            if place and monotonic() - began > SLICE_S:
                # Who was answered just now may have sent its next request by now.
                self._unread = [*longer[place:], *self._unread]
                # A timer, since callbacks would run before the loop looks at its sockets.
                self._pause = self._loop.timer(PAUSE_S)
                self._pause.start(self._read)
                return
            self._read_one(each, arrival)

    def _singles(self, unread: Sequence[_Unread], arrival: float) -> Sequence[SingleMessage | None]:
        """Return the message of each body that has one, as far as they can be read together."""
        short = [i for i, each in enumerate(unread) if len(each.body) <= SINGLE_BYTES_MAX]
        hour = int(arrival // SECONDS_PER_HOUR)
        found = fast_json.singles_among([unread[i].body for i in short], hour, self._partitions)
        singles: list[SingleMessage | None] = [None] * len(unread)
        for i, message in zip(short, found, strict=True):
            if message is None:
                continue
            key = key_of(message.key_hour)
            if unread[i].grant.covers(key) and not self._keys.is_unknown(key):
                singles[i] = message
        return singles

    def _read_one(self, unread: _Unread, arrival: float) -> None:
        """Read one body, alone: what is wrong with it concerns its own request."""
        try:
            batch = self._batch(unread.body, arrival, unread.grant)
        except Exception as error:  # noqa: BLE001  (its request raises it)
            unread.pending.switch(error)
            return
        if batch is None:
            unread.pending.switch(None)
        else:
            self._put(unread.pending, batch)

    def _batch(self, body: bytes, arrival: float, grant: Grant) -> Batch | None:
        # For new keys Redis has to be asked, which the regular path does.
        builder = self._builder(arrival, grant.covers, self._keys.is_unknown)
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
