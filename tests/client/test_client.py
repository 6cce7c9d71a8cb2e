"""An app uses a client by record, flush, close and stats, and sets it up by options."""

import json
import threading
import time
from collections.abc import Callable

import pytest

from metrics.client import threads
from ops.local.waiting import wait_until
from tests.support.clients import all_of, client_of, record
from tests.support.fake_collector import (
    FakeCollector,
    Reply,
    Request,
    fake_collector,
    refusing,
)

TOKEN = "s3cret"  # noqa: S105
AN_ANSWER_S = 30.0
"""How long whoever waits for an answer here would wait."""


def test_what_is_recorded_is_sent_as_a_column_with_its_times(fake: FakeCollector) -> None:
    """Recorded values are sent as one column of their key, with timestamps and the token."""
    began = int(time.time())
    with client_of(fake, token=TOKEN) as client:
        record(client, 3)
        wait_until(lambda: fake.counted, 60, "the values are sent")

        (request,) = fake.requests
        (column,) = request.items
        assert (column["key"], column["values"]) == ("a", [1.0, 2.0, 3.0])
        assert all(began <= at <= time.time() for at in column["timestamps"])
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert len(request.key) >= 16


def test_batches_are_sent_over_one_connection_each_under_its_own_key(fake: FakeCollector) -> None:
    """Long batches are compressed and use one connection, each with an idempotency key."""
    with client_of(fake, batch_size=1000) as client:
        record(client, 3500)

        assert client.flush(60)
        assert fake.values("a") == all_of(3500)
        assert max(request.messages for request in fake.requests) == 1000
        assert len({request.key for request in fake.requests}) == len(fake.requests)
        assert len({request.port for request in fake.requests}) == 1
        assert fake.requests[0].headers["content-encoding"] == "gzip"


def test_a_full_batch_does_not_wait_for_its_time(fake: FakeCollector) -> None:
    """A full batch is sent at once, although `flush_seconds` is not over."""
    with client_of(fake, flush_seconds=60, batch_size=100) as client:
        record(client, 100)

        wait_until(lambda: len(fake.values("a")) == 100, 60, "the batch is sent")
        record(client, 1)
        record(client, 100)
        wait_until(lambda: len(fake.values("a")) >= 200, 60, "the next one too")


def test_stats_tell_what_became_of_every_value() -> None:
    """Every recorded value is in the stats as sent, rejected, dropped or buffered."""

    def partly(request: Request) -> Reply:
        members = {"accepted": 3, "rejected": 2, "errors": [{"index": 0, "detail": "too old"}]}
        return 202, {}, json.dumps(members).encode()

    with (
        fake_collector(script=[partly]) as fake,
        client_of(fake, max_buffered=8, max_folded=0) as client,
    ):
        fake.gate.clear()
        record(client, 5)
        wait_until(lambda: fake.requests, 60, "the first batch is on its way")
        record(client, 5)
        stats = client.stats

        assert (stats.recorded, stats.sent, stats.dropped, stats.buffered) == (10, 0, 2, 8)

        fake.gate.set()
        assert client.flush(60)
        stats = client.stats
        assert (stats.recorded, stats.sent, stats.rejected, stats.dropped) == (10, 6, 2, 2)
        assert stats.buffered == 0
        assert stats.last_error is not None
        assert "too old" in stats.last_error


def test_flush_says_whether_all_of_it_was_sent_in_time(fake: FakeCollector) -> None:
    """flush() returns whether all was sent, and returns in time if it was not."""
    with client_of(fake, flush_seconds=60) as client:
        assert client.flush(0)  # nothing was recorded

        record(client, 10)
        assert client.flush(60)
        assert len(fake.values("a")) == 10

        fake.gate.clear()
        record(client, 10)
        began = time.monotonic()
        assert not client.flush(0.1)
        assert time.monotonic() - began < AN_ANSWER_S / 2
        fake.gate.set()
        assert client.flush(60)
        assert len(fake.values("a")) == 20


def test_flush_needs_no_thread_that_another_is_just_starting(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flush() delivers, even while another thread is still starting the sender's thread."""
    start = threads.start
    is_starting, may_start = threading.Event(), threading.Event()

    def start_late(run: Callable[[], None]) -> None:
        if not is_starting.is_set():
            is_starting.set()
            may_start.wait(60)
        start(run)

    monkeypatch.setattr(threads, "start", start_late)
    with client_of(fake, flush_seconds=60) as client:
        other = threading.Thread(target=record, args=(client, 10))
        other.start()
        is_starting.wait(60)
        record(client, 10, key="b")

        assert client.flush(60)
        assert fake.values("b") == all_of(10)
        may_start.set()
        other.join()
        assert client.close(60)
        assert fake.values("a") == all_of(10)


def test_flush_covers_what_was_recorded_before_it_while_others_record(fake: FakeCollector) -> None:
    """flush() returns after all earlier values are sent, although another thread records on."""
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            client.record("z", 1.0)
            time.sleep(0.001)

    with client_of(fake, flush_seconds=60) as client:
        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            for number in range(20):
                client.record("a", float(number))
                assert client.flush(60)
                assert fake.values("a")[-1] == number
        finally:
            stop.set()
            thread.join()


def test_close_sends_what_waits_and_later_values_are_dropped(fake: FakeCollector) -> None:
    """close() sends what waits; later values are dropped and counted, and raise nothing."""
    with client_of(fake, flush_seconds=60) as client:
        record(client, 10)

        assert client.close(60)
        assert fake.values("a") == all_of(10)
        wait_until(lambda: not client._sender.is_alive, 60, "its thread ends")

        record(client, 5)
        stats = client.stats
        assert (stats.sent, stats.dropped, stats.buffered) == (10, 5, 0)
        assert client.flush(1)
        assert client.close(1)
        assert not client._sender.is_alive


def test_close_tries_once_more_whoever_was_left_alone(fake: FakeCollector) -> None:
    """close() tries a collector again although its Retry-After is not over."""
    fake.script.append(refusing(503, stored="no", retry_after=60))
    with client_of(fake) as client:
        record(client, 10)
        wait_until(lambda: fake.requests, 60, "the first try")

        assert client.close(60)
        assert fake.values("a") == all_of(10)


def test_close_comes_back_in_time_and_says_that_it_failed(fake: FakeCollector) -> None:
    """close() returns False in time, and the values not delivered are counted as dropped."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake) as client:
        record(client, 10)
        began = time.monotonic()

        assert not client.close(0.3)
        assert time.monotonic() - began < AN_ANSWER_S / 2
        wait_until(lambda: client.stats.dropped == 10, 60, "it is given up")


def test_several_clients_do_not_know_of_each_other(fake: FakeCollector) -> None:
    """A client delivers although another one in the process is full, hangs or is closed."""
    with fake_collector() as hanging:
        hanging.gate.clear()
        with client_of(hanging, max_buffered=10, max_folded=0) as stuck, client_of(fake) as well:
            record(stuck, 20)
            record(well, 20)

            assert not stuck.flush(0.05)
            assert well.flush(60)
            assert not stuck.close(0.05)
            record(well, 5)
            assert well.flush(60)
            assert (stuck.stats.dropped, well.stats.sent) == (10, 25)
