"""A send queue sends at once where few requests come, and lingers where many do."""

from collections.abc import Callable, Sequence
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from api.collector import send_queue
from api.collector.send_queue import SENDERS, PendingAppend, SendQueue
from metrics.errors import StorageUnavailableError
from ops.local.waiting import wait_until

MANY = 20


class Sent(list[int]):
    """Holds the number of items in each group that a queue sent."""

    def send(self, items: Sequence[str]) -> list[object]:
        """Take a group."""
        self.append(len(items))
        return [f"sent {item}" for item in items]


def submit(queue: SendQueue[str], deadline_s: float = 60.0) -> PendingAppend[str]:
    """Put a request in line."""
    return queue.submit("a", 1, monotonic() + deadline_s)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a queue linger until enough requests wait, however long that takes."""
    monkeypatch.setattr(send_queue, "LINGER_SHARE", 1e9)
    monkeypatch.setattr(send_queue, "LINGER_MAX_S", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_request_alone_waits_for_no_other() -> None:
    """Requests that come one after the other are each sent as a group of one."""
    sent = Sent()
    queue = SendQueue(sent.send)

    for _ in range(3):
        assert submit(queue).result() == "sent a"

    assert sent == [1, 1, 1]


@pytest.mark.usefixtures("patient")
def test_a_group_waits_until_as_many_are_there_as_the_last_one_had() -> None:
    """A group lingers until it has as many requests as the last one."""
    sent = Sent()
    queue = SendQueue(sent.send)
    for pending in [submit(queue) for _ in range(MANY)]:
        pending.result()

    early = [submit(queue) for _ in range(MANY - 1)]
    for _ in range(3):
        gevent.sleep(0.001)
    assert sent == [MANY]
    for pending in [*early, submit(queue)]:
        pending.result()

    assert sent == [MANY, MANY]


def test_where_fewer_come_the_linger_ends_by_itself() -> None:
    """A linger ends by itself where fewer requests come than the last group had."""
    sent = Sent()
    queue = SendQueue(sent.send)
    for pending in [submit(queue) for _ in range(MANY)]:
        pending.result()

    for _ in range(2):
        assert submit(queue).result() == "sent a"

    assert sent == [MANY, 1, 1]


@pytest.mark.usefixtures("patient")
def test_a_linger_follows_from_how_long_the_last_group_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A queue does not linger where its share of the last group's time is zero."""
    monkeypatch.setattr(send_queue, "LINGER_SHARE", 0.0)
    sent = Sent()
    queue = SendQueue(sent.send)
    for pending in [submit(queue) for _ in range(MANY)]:
        pending.result()

    assert submit(queue).result() == "sent a"

    assert sent == [MANY, 1]


@pytest.mark.usefixtures("patient")
def test_text_for_a_whole_group_ends_the_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request as long as a whole group ends the linger."""
    monkeypatch.setattr(send_queue, "GROUP_LENGTH_MAX", 100)
    sent = Sent()
    queue = SendQueue(sent.send)
    for pending in [submit(queue) for _ in range(MANY)]:
        pending.result()

    assert queue.submit("long", 100, monotonic() + 60).result() == "sent long"

    assert sent == [MANY, 1]


def test_a_slow_group_holds_no_other_up() -> None:
    """SENDERS groups can be under way at once, and later requests go together."""
    gates: list[Event] = []
    sent: list[int] = []

    def send(items: Sequence[str]) -> list[str]:
        sent.append(len(items))
        gates.append(Event())
        gates[-1].wait()
        return list(items)

    queue = SendQueue(send)
    under_way = []
    for number in range(SENDERS):
        under_way.append(submit(queue))
        until(lambda number=number: len(gates) > number)
    rest = [submit(queue) for _ in range(MANY)]
    gevent.sleep(0)
    assert sent == [1] * SENDERS

    gates[0].set()
    until(lambda: len(gates) > SENDERS)
    for gate in gates:
        gate.set()

    assert [pending.result() for pending in [*under_way, *rest]] == ["a"] * (SENDERS + MANY)
    assert sent == [1] * SENDERS + [MANY]


def until(condition: Callable[[], bool]) -> None:
    """Let greenlets run until a condition holds."""

    def holds() -> bool:
        gevent.sleep(0)
        return condition()

    wait_until(holds)


@pytest.mark.parametrize("turns", [0, 3], ids=["before the sender comes", "after it has gone"])
def test_a_queue_whose_only_request_is_gone_before_its_sender_comes_goes_on(turns: int) -> None:
    """A queue goes on after its only request has reached its deadline before it was sent.

    The next request comes before the sender finds that there is nothing to send, or after.
    """
    sent = Sent()
    queue = SendQueue(sent.send)
    gone = submit(queue, deadline_s=-1.0)

    queue._answer_late_ones()

    with pytest.raises(StorageUnavailableError):
        gone.result()
    for _ in range(turns):
        gevent.sleep(0)
    assert submit(queue, deadline_s=10.0).result() == "sent a"
    assert sent == [1]


def test_an_answer_that_comes_after_the_deadline_reaches_nobody_twice() -> None:
    """An answer after the deadline does not reach the request, whose result is unknown."""
    gate = Event()

    def send(items: Sequence[str]) -> list[str]:
        gate.wait()
        return list(items)

    queue = SendQueue(send)
    pending = submit(queue, deadline_s=0.0)
    with pytest.raises(StorageUnavailableError) as caught:
        pending.result()
    gate.set()

    assert caught.value.stored == "unknown"
    assert submit(queue).result() == "a"
