"""The client's thread starts when it is needed, sleeps when it is not, and outlives all faults."""

import logging
import sys
from types import ModuleType
from typing import Any

import pytest

from metrics.client import client as client_module
from metrics.client import sender as sender_module
from metrics.client import threads
from ops.local.waiting import wait_until
from tests.support.clients import all_of, client_of, record
from tests.support.fake_collector import (
    FakeCollector,
    refusing,
)


def test_a_gevent_that_another_thread_is_just_importing_is_no_matter(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client delivers although the module of gevent is still without functions."""
    monkeypatch.setitem(sys.modules, "gevent.monkey", ModuleType("gevent.monkey"))
    with client_of(fake) as client:
        record(client, 10)

        assert client.flush(60)
        assert fake.values("a") == all_of(10)


def test_a_client_that_records_nothing_starts_no_thread(fake: FakeCollector) -> None:
    """A client that records nothing starts no thread, not even at flush()."""
    with client_of(fake) as client:
        assert client.flush(1)
        assert not client._sender.is_alive


def test_an_idle_client_sends_nothing_and_sleeps(fake: FakeCollector) -> None:
    """An idle client's thread sleeps, and the next value wakes it up."""
    with client_of(fake) as client:
        record(client, 1)
        assert client.flush(60)
        wait_until(lambda: client._sender and client._sender._wakeup.locked(), 60, "it sleeps")
        record(client, 1)
        wait_until(lambda: len(fake.values("a")) == 2, 60, "the next value is sent")

        assert len(fake.requests) == 2


def test_whatever_happens_in_its_thread_it_goes_on(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault inside the sender costs one batch, which is reported; the thread goes on."""
    faults = [MemoryError("no memory")]
    sound = sender_module.encode

    def encode(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401  passed on as they are
        if faults:
            raise faults.pop()
        return sound(*args, **kwargs)

    monkeypatch.setattr(sender_module, "encode", encode)
    with client_of(fake) as client:
        record(client, 10)
        wait_until(lambda: client.stats.dropped == 10, 60, "the batch is given up")
        record(client, 5)
        wait_until(lambda: client.stats.sent == 5, 60, "the next one is sent")

        assert fake.dropped("a") == 10
        assert "no memory" in caplog.text


def test_a_handler_that_raises_or_records_does_no_harm(fake: FakeCollector) -> None:
    """A log handler that records and raises does not stop the sender."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            client.record("logged", 1.0)
            raise RuntimeError("a handler that is broken")

    handler = Handler()
    logging.getLogger("metrics.client").addHandler(handler)
    try:
        fake.script.append(refusing(400, detail="no"))
        with client_of(fake) as client:
            record(client, 10)
            wait_until(lambda: client.stats.rejected == 10, 60, "the refusal is logged")
            record(client, 10)
            wait_until(lambda: fake.values("a") == all_of(10), 60, "it goes on")
            assert client.flush(60)
            assert fake.values("logged") == [1.0]
    finally:
        logging.getLogger("metrics.client").removeHandler(handler)


def test_without_a_thread_values_wait_and_record_raises_nothing(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no thread can be started, values wait, and a later flush() delivers them."""

    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(client_module, "_START_AGAIN_S", 0.0)
    with client_of(fake) as client, monkeypatch.context() as patched:
        patched.setattr(threads, "start", no_thread)
        record(client, 10)
        assert not client.flush(0.1)
        assert client.stats.last_error == "values cannot be sent: can't start new thread"
        assert client.stats.buffered == 10
        patched.undo()

        assert client.flush(60)
        assert fake.values("a") == all_of(10)


def test_a_thread_that_could_not_be_started_is_tried_again_at_the_next_value(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that could not be started is started at the next value."""

    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(client_module, "_START_AGAIN_S", 0.0)
    with client_of(fake) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threads, "start", no_thread)
            record(client, 1)
        record(client, 1)

        wait_until(lambda: len(fake.values("a")) == 2, 60, "both are sent")
