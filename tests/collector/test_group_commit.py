"""In a group commit requests share round trips, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from api.collector import send_queue
from api.collector.group_commit import GroupCommit
from api.collector.node_queues import NodeQueues
from api.collector.send_queue import SENDERS
from metrics.connection import Call, Connection
from metrics.errors import IdempotencyConflictError, MetricsError, StorageUnavailableError
from metrics.idempotency import IdempotencyKey
from metrics.stream import Appender, Batch
from tests.collector.test_send_queue import until
from tests.support.streams import audit_of, batch


class SlowConnection:
    """Passes each group on only when its gate is opened.

    Attributes:
        groups: The calls of each group that came.
        gates: For each group what opens its way.
    """

    def __init__(self, execute: Callable[[Sequence[Call]], list]) -> None:
        self._execute = execute
        self.groups: list[Sequence[Call]] = []
        self.gates: list[Event] = []

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list:
        """Wait at the gate."""
        self.groups.append(calls)
        gate = Event()
        self.gates.append(gate)
        gate.wait()
        return self._execute(calls)

    def node_name_of(self, key: str) -> str:
        """Return the name of the only node."""
        return "redis"


Spawn = Callable[..., gevent.Greenlet]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Yield a function that runs a request in a greenlet and keeps its result or its error."""
    greenlets: list[gevent.Greenlet] = []

    def run(function: Callable[..., object], *arguments: object) -> object:
        try:
            return function(*arguments)
        except MetricsError as error:
            return error

    def spawn(function: Callable[..., object], *arguments: object) -> gevent.Greenlet:
        greenlets.append(gevent.spawn(run, function, *arguments))
        gevent.sleep(0)
        gevent.sleep(0)
        return greenlets[-1]

    yield spawn
    gevent.joinall(greenlets, timeout=60)
    assert all(greenlet.dead for greenlet in greenlets), "a request was left waiting"


def group_of(connection: object) -> GroupCommit:
    """Return a group commit through a connection."""
    appender = Appender(
        connection, ensure_layout=lambda: None, backlog_limit_entries=1000, window_s=900
    )
    queues = NodeQueues(connection, appender.send, partitions=16)
    return GroupCommit(queues.of, partitions=16, window_s=900)


def soon() -> float:
    """Return a deadline that no request here reaches."""
    return monotonic() + 30


def occupy(spawn: Spawn, group: GroupCommit, slow: SlowConnection) -> None:
    """Let every sender wait for Redis, so that the next request waits in line."""
    for number in range(SENDERS):
        spawn(group.append, batch(), soon())
        await_groups(slow, number + 1)


def await_groups(slow: SlowConnection, number: int) -> None:
    """Wait until so many groups went to Redis."""
    until(lambda: len(slow.groups) >= number)
    assert len(slow.groups) == number


def test_requests_that_wait_together_share_a_round_trip(
    connection: Connection, spawn: Spawn
) -> None:
    """A hundred requests that wait at the same time share one round trip and one entry."""
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    occupy(spawn, group, slow)
    requests = [spawn(group.append, batch(), soon()) for _ in range(100)]
    assert len(slow.groups) == SENDERS

    slow.gates[0].set()
    await_groups(slow, SENDERS + 1)
    for gate in slow.gates:
        gate.set()
    gevent.joinall(requests)

    assert len(slow.groups) == SENDERS + 1
    assert audit_of(connection)["accepted"] == SENDERS + 100
    assert audit_of(connection)["appended"] == SENDERS + 1


def test_no_request_is_answered_before_redis_has_it(connection: Connection, spawn: Spawn) -> None:
    """A request is answered only after Redis has its group."""
    slow = SlowConnection(connection.execute)
    request = spawn(group_of(slow).append, batch(), soon())
    await_groups(slow, 1)

    assert not request.dead
    assert audit_of(connection)["accepted"] == 0
    slow.gates[0].set()
    request.join()
    assert request.value is None
    assert audit_of(connection)["accepted"] == 1


def test_a_slow_append_holds_nobody_else_up(connection: Connection, spawn: Spawn) -> None:
    """A slow append does not hold up a request of another group."""
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    stuck = spawn(group.append, batch([1.0]), soon())
    await_groups(slow, 1)
    other = spawn(group.append, batch([2.0]), soon())
    await_groups(slow, 2)

    slow.gates[1].set()
    other.join(60)

    assert (other.dead, stuck.dead) == (True, False)
    slow.gates[0].set()


def test_a_failed_append_fails_the_requests_in_it(connection: Connection, spawn: Spawn) -> None:
    """A failed append fails the requests of its group and no others."""
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    lost = spawn(group.append, batch(), soon())
    await_groups(slow, 1)
    other = spawn(group.append, batch(), soon())
    await_groups(slow, 2)

    slow._execute = lambda calls: [StorageUnavailableError("cut", stored="unknown")] * len(calls)
    slow.gates[0].set()
    lost.join()
    slow._execute = connection.execute
    slow.gates[1].set()
    other.join()

    assert isinstance(lost.value, StorageUnavailableError)
    assert lost.value.stored == "unknown"
    assert other.value is None


def test_a_fault_of_ours_reaches_each_request_and_the_sender_lives(
    connection: Connection,
) -> None:
    """An unexpected exception reaches each request, and the senders go on."""
    faults = [ZeroDivisionError("ours")] * SENDERS

    def execute(calls: Sequence[Call], *, replicas: int = 0) -> list:
        if faults:
            raise faults.pop()
        return connection.execute(calls)

    slow = SlowConnection(execute)
    slow.execute = execute
    group = group_of(slow)
    for _ in range(SENDERS):
        with pytest.raises(ZeroDivisionError):
            group.append(batch(), soon())

    group.append(batch(), soon())

    assert audit_of(connection)["accepted"] == 1


def test_a_request_that_waited_too_long_in_line_is_not_stored(
    connection: Connection, spawn: Spawn
) -> None:
    """A request that reaches its deadline in line is not stored, not even later."""
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    occupy(spawn, group, slow)

    late = spawn(group.append, batch(), monotonic() + 0.05)
    late.join()
    for gate in slow.gates:
        gate.set()
    until(lambda: audit_of(connection)["accepted"] >= SENDERS)

    assert isinstance(late.value, StorageUnavailableError)
    assert late.value.stored == "no"
    assert audit_of(connection)["accepted"] == len(slow.groups) == SENDERS


def test_a_request_that_waited_too_long_for_redis_is_unknown(
    connection: Connection, spawn: Spawn
) -> None:
    """A request that reaches its deadline during its append has `stored: unknown`."""
    slow = SlowConnection(connection.execute)
    late = spawn(group_of(slow).append, batch(), monotonic() + 0.3)
    await_groups(slow, 1)

    late.join()

    assert isinstance(late.value, StorageUnavailableError)
    assert late.value.stored == "unknown"
    slow.gates[0].set()
    until(lambda: audit_of(connection)["accepted"] == 1)


def test_what_waits_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is refused when the length of all that waits would exceed its limit."""
    monkeypatch.setattr(send_queue, "WAITING_LENGTH_MAX", 10)
    group = group_of(connection)

    with pytest.raises(StorageUnavailableError, match="Too many messages are waiting") as caught:
        group.append(batch([123.456] * 2), soon())

    assert caught.value.stored == "no"
    group.append(batch([1.0]), soon())


def test_a_group_is_bounded(
    connection: Connection, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that is full leaves the rest of the requests to the next group."""
    monkeypatch.setattr(send_queue, "GROUP_LENGTH_MAX", 10)
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    occupy(spawn, group, slow)
    requests = [spawn(group.append, batch([123.456]), soon()) for _ in range(4)]
    while not all(request.dead for request in requests):
        gevent.sleep(0.01)
        for gate in slow.gates:
            gate.set()

    assert len(slow.groups) == SENDERS + 2
    assert audit_of(connection)["accepted"] == SENDERS + 4


def test_registrations_and_batches_go_together(connection: Connection, spawn: Spawn) -> None:
    """Reservations and batches share a round trip, and each gets its own outcome."""
    slow = SlowConnection(connection.execute)
    group = group_of(slow)
    occupy(spawn, group, slow)
    requests = [
        spawn(group.reserve, IdempotencyKey("1", "a"), 5.0, soon()),
        spawn(group.append, batch(), soon()),
        spawn(group.reserve, IdempotencyKey("1", "b"), 6.0, soon()),
        spawn(group.append, Batch(batch().columns, IdempotencyKey("2", "x")), soon()),
        spawn(group.reserve, IdempotencyKey("1", "a"), 7.0, soon()),
    ]
    slow.gates[0].set()
    await_groups(slow, SENDERS + 1)
    for gate in slow.gates:
        gate.set()
    gevent.joinall(requests)

    assert len(slow.groups) == SENDERS + 1
    assert [request.value for request in requests[:2]] == [5.0, None]
    assert isinstance(requests[2].value, IdempotencyConflictError)
    assert [request.value for request in requests[3:]] == [None, 5.0]
