"""The client delivers what an app records: once, wherever it can, and never at the app's cost."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from metrics import Client
from metrics.client import client as client_module
from metrics.client import collectors as collectors_module
from metrics.client import delivery as delivery_module
from metrics.client import sender as sender_module
from metrics.client import threads
from ops.waiting import wait_until
from tests.fake_collector import (
    NO_REPLY,
    FakeCollector,
    Reply,
    Request,
    fake_collector,
    refusing,
    taken,
)

TOKEN = "s3cret"  # noqa: S105


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    """Run a collector that is well."""
    with fake_collector() as collector:
        yield collector


@contextmanager
def client_of(*collectors: FakeCollector | str, **options: float | str) -> Iterator[Client]:
    """Return a client that flushes soon and gives up soon."""
    urls = [each if isinstance(each, str) else each.url for each in collectors]
    defaults: dict[str, Any] = {"flush_seconds": 0.02, "answer_seconds": 0.5}
    client = Client(urls, environ={}, **{**defaults, **options})
    try:
        yield client
    finally:
        client.close(timeout=0.5)


def record(client: Client, count: int, key: str = "a") -> None:
    """Record 1.0, 2.0 and so on."""
    for number in range(count):
        client.record(key, number + 1.0)


def all_of(count: int) -> list[float]:
    """Return what ``record`` has recorded."""
    return [number + 1.0 for number in range(count)]


def test_what_is_recorded_is_sent_as_a_column_with_its_times(fake: FakeCollector) -> None:
    """Under its key, and soon."""
    began = int(time.time())
    with client_of(fake, token=TOKEN) as client:
        record(client, 3)
        wait_until(lambda: fake.counted, 2, "the values are sent")

        (request,) = fake.requests
        (column,) = request.items
        assert (column["key"], column["values"]) == ("a", [1.0, 2.0, 3.0])
        assert all(began <= at <= time.time() for at in column["timestamps"])
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert len(request.key) >= 16


def test_batches_are_sent_over_one_connection_each_under_its_own_key(fake: FakeCollector) -> None:
    """Compressed when they are long."""
    with client_of(fake, batch_size=1000) as client:
        record(client, 3500)

        assert client.flush(5)
        assert fake.values("a") == all_of(3500)
        assert max(request.messages for request in fake.requests) == 1000
        assert len({request.key for request in fake.requests}) == len(fake.requests)
        assert len({request.port for request in fake.requests}) == 1
        assert fake.requests[0].headers["content-encoding"] == "gzip"


def test_a_full_batch_does_not_wait_for_its_time(fake: FakeCollector) -> None:
    """Nor must whoever records 10,000 values a second have a buffer for them all."""
    with client_of(fake, flush_seconds=60, batch_size=100) as client:
        record(client, 100)

        wait_until(lambda: len(fake.values("a")) == 100, 2, "the batch is sent")
        record(client, 1)
        record(client, 100)
        wait_until(lambda: len(fake.values("a")) >= 200, 2, "the next one too")


def test_stats_tell_what_became_of_every_value() -> None:
    """Each is sent, rejected, dropped or buffered, and they add up."""

    def partly(request: Request) -> Reply:
        members = {"accepted": 3, "rejected": 2, "errors": [{"index": 0, "detail": "too old"}]}
        return 202, {}, json.dumps(members).encode()

    with fake_collector(script=[partly]) as fake, client_of(fake, max_buffered=8) as client:
        fake.gate.clear()
        record(client, 5)
        wait_until(lambda: fake.requests, 2, "the first batch is on its way")
        record(client, 5)
        stats = client.stats

        assert (stats.recorded, stats.sent, stats.dropped, stats.buffered) == (10, 0, 2, 8)

        fake.gate.set()
        assert client.flush(5)
        stats = client.stats
        assert (stats.recorded, stats.sent, stats.rejected, stats.dropped) == (10, 6, 2, 2)
        assert stats.buffered == 0
        assert stats.last_error is not None
        assert "too old" in stats.last_error


@pytest.mark.parametrize(
    "failing",
    [
        refusing(429),
        refusing(502),
        refusing(503, stored="no"),
        refusing(504),
        lambda _: NO_REPLY,
    ],
    ids=["429", "502", "503", "504", "no answer"],
)
def test_what_one_collector_cannot_take_the_next_one_gets_at_once(
    failing: Callable[[Request], Reply],
) -> None:
    """The same bytes under the same key, so that it counts once."""
    with fake_collector() as bad, fake_collector() as good:
        bad.answer = failing
        while not bad.requests:  # whichever a client happens to begin with
            with client_of(bad, good) as client:
                record(client, 10)
                assert client.flush(5)

        (failed,) = bad.requests
        assert failed.raw == good.counted[failed.key].raw
        assert (client.stats.sent, client.stats.retries) == (10, 1)


def test_a_collector_that_is_not_there_is_no_matter() -> None:
    """Refused, and left alone for a while; everything goes to the other one."""
    with fake_collector() as gone:
        url = gone.url
    with fake_collector() as good, client_of(url, good) as client:
        for _ in range(20):
            record(client, 5)
            assert client.flush(5)

        assert len(good.values("a")) == 100
        assert client.stats.retries <= 5


def test_a_collector_that_hangs_costs_one_deadline() -> None:
    """Not one for each batch."""
    with fake_collector() as hanging, fake_collector() as good:
        hanging.gate.clear()
        with client_of(hanging, good, answer_seconds=0.2) as client:
            for _ in range(10):
                record(client, 10)
                assert client.flush(5)

            assert len(good.values("a")) == 100
            assert len(hanging.requests) <= 2


def test_what_was_taken_without_an_answer_counts_once(fake: FakeCollector) -> None:
    """The answer is lost, the batch is sent again, and its key says that it is the same."""

    def taken_in_silence(request: Request) -> Reply:
        fake.counted.setdefault(request.key, request)
        return NO_REPLY

    fake.script += [taken_in_silence] * 3
    with client_of(fake) as client:
        record(client, 100)

        assert client.flush(10)
        assert fake.values("a") == all_of(100)
        assert len(fake.requests) == 4
        assert len({request.raw for request in fake.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_refusal_is_counted_and_not_sent_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes after it goes on; the log says so once a minute."""
    refusal = refusing(status, detail="this token may not")
    with fake_collector(script=[refusal, refusal]) as fake, client_of(fake) as client:
        for _ in range(3):
            record(client, 10)
            assert client.flush(5)

        stats = client.stats
        assert (stats.sent, stats.rejected, stats.retries) == (10, 20, 0)
        assert str(status) in (stats.last_error or "")
        warnings = [record.getMessage() for record in caplog.records]
        assert len(warnings) == 1
        assert "this token may not" in warnings[0]


def test_an_answer_that_no_collector_gives_does_not_hold_up_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something else listens there: after a few tries the batch is given up, and counted."""
    monkeypatch.setattr(collectors_module, "REST_S_MAX", 0.05)
    page = (lambda _: (200, {}, b"<html>hello</html>"),) * delivery_module.FAULTS_MAX
    with fake_collector(script=page) as fake, client_of(fake) as client:
        record(client, 10)
        assert client.flush(20)
        record(client, 5)
        assert client.flush(5)

        assert (client.stats.rejected, client.stats.sent) == (10, 5)


def test_retry_after_is_honoured(fake: FakeCollector) -> None:
    """A collector that asks for a second gets it."""
    fake.script.append(refusing(503, stored="no", retry_after=1))
    with client_of(fake) as client:
        record(client, 1)
        wait_until(lambda: fake.requests, 2, "the first try")
        first = time.monotonic()
        wait_until(lambda: len(fake.requests) == 2, 5, "the second try")

        assert time.monotonic() - first >= 0.9


def test_while_all_are_away_values_wait_and_land_in_their_hours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Late delivery changes no hour."""
    with fake_collector() as gone:
        port = gone.port
    now = [1_795_442_399.0]
    monkeypatch.setattr(client_module.time, "time", lambda: now[0])
    with client_of(f"http://127.0.0.1:{port}") as client:
        record(client, 10)
        now[0] += 1.0
        record(client, 20)
        wait_until(lambda: client.stats.retries >= 2, 5, "it tries")

        assert client.stats.buffered == 30

        with fake_collector(port=port) as back:
            wait_until(lambda: client.stats.sent == 30, 8, "the values are sent")

            assert back.hours("a") == {498733: 10, 498734: 20}
            assert client.stats.dropped == 0


def test_when_the_buffer_is_full_the_newest_are_dropped_counted_and_reported(
    fake: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says it once, and the next batch tells the collector how many, by key and hour."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake, max_buffered=100) as client:
        record(client, 250)
        record(client, 50, key="b")
        wait_until(lambda: len(fake.requests) >= 3, 5, "it tries")
        record(client, 50)
        wait_until(lambda: "dropped" in caplog.text, 5, "the log tells")

        assert client.stats.dropped == 250
        assert caplog.text.count("the buffer is full: new values are dropped") == 1

        fake.answer = taken
        wait_until(lambda: client.stats.buffered == 0, 8, "the collector is back")
        assert client.flush(5)
        assert fake.values("a") == all_of(100)
        assert (fake.dropped("a"), fake.dropped("b")) == (200, 50)
        assert client.stats.sent == 100

        record(client, 5)
        assert client.flush(5)
        assert (len(fake.values("a")), fake.dropped("a")) == (105, 200)


def test_no_repetition_outlives_the_memory_of_the_collectors(fake: FakeCollector) -> None:
    """What may be stored is given up before it could count twice, and is reported as dropped."""
    fake.answer = lambda _: NO_REPLY
    with client_of(fake, repeat_seconds=1.5, answer_seconds=0.5, connect_seconds=0.5) as client:
        record(client, 10)
        first = time.monotonic()
        wait_until(lambda: client.stats.dropped == 10, 5, "it is given up")

        assert time.monotonic() - first < 1.5
        given_up = {request.key for request in fake.requests}
        assert len(fake.requests) > 1

        fake.answer = taken
        wait_until(lambda: fake.counted, 8, "the loss is reported")
        assert fake.values("a") == []
        assert fake.dropped("a") == 10
        assert not given_up & set(fake.counted)


def test_what_is_certainly_not_stored_is_never_too_old(fake: FakeCollector) -> None:
    """Nothing can count twice that never counted."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake, repeat_seconds=1.1, answer_seconds=0.5, connect_seconds=0.5) as client:
        record(client, 10)
        first = time.monotonic()
        wait_until(
            lambda: fake.requests and time.monotonic() - first > 2, 5, "more time than that passes"
        )
        fake.answer = taken

        wait_until(lambda: client.stats.sent == 10, 8, "it is sent after all")


def test_flush_says_whether_all_of_it_was_sent_in_time(fake: FakeCollector) -> None:
    """And comes back in time if it was not."""
    with client_of(fake, flush_seconds=60) as client:
        assert client.flush(0)  # nothing was recorded

        record(client, 10)
        assert client.flush(5)
        assert len(fake.values("a")) == 10

        fake.gate.clear()
        record(client, 10)
        began = time.monotonic()
        assert not client.flush(0.1)
        assert time.monotonic() - began < 1
        fake.gate.set()
        assert client.flush(5)
        assert len(fake.values("a")) == 20


def test_flush_needs_no_thread_that_another_is_just_starting(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts one itself; however many were started, one sends."""
    start = threads.start
    is_starting, may_start = threading.Event(), threading.Event()

    def start_late(run: Callable[[], None]) -> None:
        if not is_starting.is_set():
            is_starting.set()
            may_start.wait(5)
        start(run)

    monkeypatch.setattr(threads, "start", start_late)
    with client_of(fake, flush_seconds=60) as client:
        other = threading.Thread(target=record, args=(client, 10))
        other.start()
        is_starting.wait(5)
        record(client, 10, key="b")

        assert client.flush(5)
        assert fake.values("b") == all_of(10)
        may_start.set()
        other.join()
        assert client.close(5)
        assert fake.values("a") == all_of(10)


def test_flush_covers_what_was_recorded_before_it_while_others_record(fake: FakeCollector) -> None:
    """However much comes meanwhile, under whatever key."""
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
                assert client.flush(5)
                assert fake.values("a")[-1] == number
        finally:
            stop.set()
            thread.join()


def test_close_sends_what_waits_and_later_values_are_dropped(fake: FakeCollector) -> None:
    """A closed client raises nothing."""
    with client_of(fake, flush_seconds=60) as client:
        record(client, 10)

        assert client.close(5)
        assert fake.values("a") == all_of(10)
        wait_until(lambda: not client._sender.is_alive, 2, "its thread ends")

        record(client, 5)
        stats = client.stats
        assert (stats.sent, stats.dropped, stats.buffered) == (10, 5, 0)
        assert client.flush(1)
        assert client.close(1)
        assert not client._sender.is_alive


def test_close_tries_once_more_whoever_was_left_alone(fake: FakeCollector) -> None:
    """There is no later to wait for."""
    fake.script.append(refusing(503, stored="no", retry_after=60))
    with client_of(fake) as client:
        record(client, 10)
        wait_until(lambda: fake.requests, 2, "the first try")

        assert client.close(5)
        assert fake.values("a") == all_of(10)


def test_close_comes_back_in_time_and_says_that_it_failed(fake: FakeCollector) -> None:
    """What it could not deliver is counted."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake) as client:
        record(client, 10)
        began = time.monotonic()

        assert not client.close(0.3)
        assert time.monotonic() - began < 1.5
        wait_until(lambda: client.stats.dropped == 10, 5, "it is given up")


def test_a_client_that_records_nothing_starts_no_thread(fake: FakeCollector) -> None:
    """Nor does one that is only flushed and closed."""
    with client_of(fake) as client:
        assert client.flush(1)
        assert not client._sender.is_alive


def test_an_idle_client_sends_nothing_and_sleeps(fake: FakeCollector) -> None:
    """It is called by the next value."""
    with client_of(fake) as client:
        record(client, 1)
        assert client.flush(5)
        wait_until(lambda: client._sender and client._sender._bell.locked(), 2, "it sleeps")
        record(client, 1)
        wait_until(lambda: len(fake.values("a")) == 2, 2, "the next value is sent")

        assert len(fake.requests) == 2


def test_whatever_happens_in_its_thread_it_goes_on(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours costs one batch, which is counted and reported, and not the thread."""
    faults = [MemoryError("no memory")]
    sound = sender_module.seal

    def seal(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401  passed on as they are
        if faults:
            raise faults.pop()
        return sound(*args, **kwargs)

    monkeypatch.setattr(sender_module, "seal", seal)
    with client_of(fake) as client:
        record(client, 10)
        wait_until(lambda: client.stats.dropped == 10, 2, "the batch is given up")
        record(client, 5)
        wait_until(lambda: client.stats.sent == 5, 2, "the next one is sent")

        assert fake.dropped("a") == 10
        assert "no memory" in caplog.text


def test_a_handler_that_raises_or_records_does_no_harm(fake: FakeCollector) -> None:
    """The app's logging may do what it likes."""

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
            wait_until(lambda: client.stats.rejected == 10, 2, "the refusal is logged")
            record(client, 10)
            wait_until(lambda: fake.values("a") == all_of(10), 2, "it goes on")
            assert client.flush(5)
            assert fake.values("logged") == [1.0]
    finally:
        logging.getLogger("metrics.client").removeHandler(handler)


def test_without_a_thread_values_wait_and_record_raises_nothing(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be one again later."""

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

        assert client.flush(5)
        assert fake.values("a") == all_of(10)


def test_a_thread_that_could_not_be_started_is_tried_again_at_the_next_value(
    fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when there is a batch, or a flush."""

    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(client_module, "_START_AGAIN_S", 0.0)
    with client_of(fake) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threads, "start", no_thread)
            record(client, 1)
        record(client, 1)

        wait_until(lambda: len(fake.values("a")) == 2, 2, "both are sent")


def test_several_clients_do_not_know_of_each_other(fake: FakeCollector) -> None:
    """One that is full, hangs or is closed is no matter to another."""
    with fake_collector() as hanging:
        hanging.gate.clear()
        with client_of(hanging, max_buffered=10) as stuck, client_of(fake) as well:
            record(stuck, 20)
            record(well, 20)

            assert not stuck.flush(0.05)
            assert well.flush(5)
            assert not stuck.close(0.05)
            record(well, 5)
            assert well.flush(5)
            assert (stuck.stats.dropped, well.stats.sent) == (10, 25)


def test_the_environment_may_say_it_all(fake: FakeCollector) -> None:
    """So that one line in an app is enough."""
    environ = {
        "METRICS_COLLECTORS": f" {fake.url} , http://127.0.0.1:1",
        "METRICS_TOKEN": TOKEN,
        "METRICS_KEY": "checkout.web-1",
    }
    with Client(environ=environ) as client:
        with client.timer():
            pass

        assert client.key == "checkout.web-1"
        assert client.flush(5)

    assert len(fake.values("checkout.web-1")) == 1
    assert fake.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"collectors": []}, "a client needs collectors: pass their URLs, or set METRICS_COLL"),
        ({"collectors": None}, "a client needs collectors"),
        ({"collectors": "collector-1:8000"}, "a collector is written http://host:port"),
        ({"key": "a b"}, "key must be 1 to 128 characters"),
        ({"token": "with\nnewline"}, "token must be printable ASCII"),
        ({"max_buffered": 1}, "max_buffered must be at least 2, got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"flush_seconds": -1}, "flush_seconds must be at least 0, got -1"),
        ({"flush_seconds": float("nan")}, "flush_seconds must be at least 0, got nan"),
        ({"answer_seconds": 0}, "answer_seconds must be at least 0.001, got 0"),
        ({"connect_seconds": 0}, "connect_seconds must be at least 0.001, got 0"),
        ({"repeat_seconds": 1}, "repeat_seconds must be at least 2.5, got 1"),
    ],
)
def test_what_cannot_be_used_is_an_error_when_the_app_starts(
    options: dict[str, Any], told: str
) -> None:
    """It names what is wrong; it does not repeat a token."""
    with pytest.raises(ValueError, match=told) as caught:
        Client(**{"collectors": "http://one", "environ": {}, **options})

    assert "newline" not in str(caught.value)


def test_a_client_may_be_switched_off() -> None:
    """It needs no collectors, checks its arguments, and does nothing else."""
    with Client(enabled=False, environ={}) as client:
        client.record("a", 1.0)
        with client.timer("a"):
            pass
        with pytest.raises(ValueError, match="value must be 0 or more"):
            client.record("a", -1.0)

        assert client.flush()
        assert client.stats.recorded == 0
        assert not client._sender.is_alive
