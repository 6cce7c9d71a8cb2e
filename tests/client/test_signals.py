"""The client works in processes that get signals, at any moment of its work."""

import signal

from ops.local.waiting import wait_until
from tests.client.apps.signalled import HANDLED_MIN, ROUNDS
from tests.support.fake_collector import fake_collector
from tests.support.scenarios import run, running


def test_a_signal_without_a_handler_ends_a_process_at_once() -> None:
    """A signal without a handler ends a process that uses a client, as it does any other."""
    with (
        fake_collector() as collector,
        running("signalled.py", "without_a_handler", collector.url) as app,
    ):
        assert app.heard() == "ready"
        app.process.send_signal(signal.SIGTERM)
        ended = app.end()

    assert (ended.status, ended.complaints) == (-signal.SIGTERM, "")


def test_a_handler_that_exits_delivers() -> None:
    """Values that wait are delivered when a signal's handler exits."""
    with (
        fake_collector() as collector,
        running("signalled.py", "handler_that_exits", collector.url) as app,
    ):
        assert app.heard() == "ready"
        app.process.send_signal(signal.SIGTERM)
        ended = app.end()

    assert (ended.status, ended.complaints) == (0, "")
    assert collector.values("app") == [1]


def test_a_handler_may_record_and_flush_while_it_interrupts_that() -> None:
    """A handler can record and flush while it interrupts both; each value counts once."""
    with fake_collector() as collector:
        ended = run("signalled.py", "handler_that_records", collector.url)

    rounds, handled = map(int, ended.printed.split())
    assert rounds >= ROUNDS
    assert handled >= HANDLED_MIN
    assert collector.values("main") == list(range(rounds))
    assert sorted(collector.values("handler")) == list(range(handled))


def test_a_handler_may_raise_anywhere_in_record() -> None:
    """After a handler has raised inside record(), the next value is delivered without a flush."""
    with (
        fake_collector() as collector,
        running("signalled.py", "handler_that_raises", collector.url) as app,
    ):
        wait_until(lambda: sorted(collector.values("next")) == list(range(200)))
        app.go_on()
        assert app.end().status == 0
