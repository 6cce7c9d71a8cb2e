"""The client works beside threads, an event loop and the app's own log handlers."""

import json

from ops.local.waiting import wait_until
from tests.client.apps.busy import ANSWER_S, TASKS, THREADS, VALUES
from tests.support.fake_collector import fake_collector, refusing
from tests.support.scenarios import run, running

UNNOTICED_S = ANSWER_S / 8
"""Whoever waits for an answer is later than that; whoever waits for a busy machine is not."""


def test_every_value_of_every_thread_is_sent_or_counted_as_dropped() -> None:
    """Every value of eight threads is sent, folded or not; if any is dropped, it is reported."""
    with fake_collector() as collector, running("busy.py", "threads", collector.url) as app:
        ended = app.end()

    stats = json.loads(ended.printed)
    keys = [f"thread-{number}" for number in range(THREADS)]
    found = [collector.values(key) for key in keys]
    assert all(len(set(values)) == len(values) for values in found)
    assert any(map(collector.aggregates, keys))
    assert sum(map(collector.count, keys)) == stats["sent"] > 0.9 * stats["recorded"]
    assert sum(map(collector.dropped, keys)) == stats["dropped"]
    assert stats["recorded"] == THREADS * VALUES == stats["sent"] + stats["dropped"]
    assert (stats["rejected"], stats["buffered"]) == (0, 0)


def test_an_event_loop_keeps_its_pace_while_collectors_hang() -> None:
    """An event loop whose tasks record and are timed is not held up by a collector that hangs."""
    with fake_collector() as collector:
        collector.gate.clear()
        with running("busy.py", "tasks", collector.url) as app:
            late_s = float(app.heard())
            was_hanging = bool(collector.requests) and not collector.counted
            collector.gate.set()
            app.go_on()
            ended = app.end()

    assert was_hanging
    assert late_s < UNNOTICED_S
    assert ended.status == 0
    for number in range(TASKS):
        assert collector.values(f"task-{number}") == list(range(100))
    assert len(collector.values("timed")) == TASKS
    assert min(collector.values("timed")) > 100


def test_a_log_handler_that_blocks_holds_up_nobody_but_the_sender() -> None:
    """While a log handler blocks the sender, record() is fast, and the values are sent later."""
    with (
        fake_collector(script=[refusing(400, detail="no")]) as collector,
        running("busy.py", "handler_that_blocks", collector.url) as app,
    ):
        took_s = float(app.heard())
        ended = app.end()

    assert took_s < UNNOTICED_S
    assert ended.status == 0
    assert collector.values("app") == list(range(1000))


def test_log_handlers_may_raise_and_record() -> None:
    """A log handler that raises or records neither ends the sender nor blocks it."""
    with fake_collector(script=[refusing(400, detail="no")]) as collector:
        run("busy.py", "handlers_that_raise_and_record", collector.url)

    wait_until(lambda: collector.values("app") == [1])
    assert collector.values("logged") == list(range(10))
