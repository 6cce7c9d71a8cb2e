"""The client delivers what an app records once, wherever it can, and counts the rest."""

import time
from collections.abc import Callable

import pytest

from metrics import Client
from metrics.client import client as client_module
from metrics.client import collectors as collectors_module
from ops.local.ports import free_port
from ops.local.waiting import wait_until
from tests.conftest import assert_within, seconds_of
from tests.support.clients import all_of, client_of, record
from tests.support.fake_collector import (
    NO_REPLY,
    FakeCollector,
    Reply,
    Request,
    fake_collector,
    refusing,
    taken,
)


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
    """A batch that one collector cannot take goes to the next one with the same bytes and key."""
    with fake_collector() as bad, fake_collector() as good:
        bad.answer = failing
        while not bad.requests:  # whichever a client happens to begin with
            with client_of(bad, good) as client:
                record(client, 10)
                assert client.flush(60)

        (failed,) = bad.requests
        assert failed.raw == good.counted[failed.key].raw
        assert (client.stats.sent, client.stats.retries) == (10, 1)


def test_a_collector_that_is_not_there_is_no_matter() -> None:
    """While one collector refuses connections, the other one gets everything."""
    url = f"http://127.0.0.1:{free_port()}"
    with fake_collector() as good, client_of(url, good) as client:
        for _ in range(20):
            record(client, 5)
            assert client.flush(60)

        assert len(good.values("a")) == 100
        assert client.stats.retries <= 5


def test_a_collector_that_hangs_costs_one_deadline() -> None:
    """A collector that hangs is left alone after its first deadline, not tried at each batch."""
    with fake_collector() as hanging, fake_collector() as good:
        hanging.gate.clear()
        with client_of(hanging, good, answer_seconds=0.5) as client:
            for _ in range(20):
                record(client, 10)
                assert client.flush(60)

            assert len(good.values("a")) == 200
            # One, unless the good one takes as long, too, where the machine is busy.
            assert len(hanging.requests) <= 5


def test_what_was_taken_without_an_answer_counts_once(fake: FakeCollector) -> None:
    """A batch whose answer is lost is sent again with the same body, and counts once."""

    def taken_in_silence(request: Request) -> Reply:
        fake.counted.setdefault(request.key, request)
        return NO_REPLY

    fake.script += [taken_in_silence] * 3
    with client_of(fake) as client:
        record(client, 100)

        assert client.flush(60)
        assert fake.values("a") == all_of(100)
        assert len(fake.requests) == 4
        assert len({request.raw for request in fake.requests}) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_counted_and_not_sent_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused batch is counted as rejected, logged once, and not sent again."""
    refusal = refusing(status, detail="this body may not")
    with fake_collector(script=[refusal, refusal]) as fake, client_of(fake) as client:
        for _ in range(3):
            record(client, 10)
            assert client.flush(60)

        stats = client.stats
        assert (stats.sent, stats.rejected, stats.retries) == (10, 20, 0)
        assert str(status) in (stats.last_error or "")
        warnings = [record.getMessage() for record in caplog.records]
        assert len(warnings) == 1
        assert "this body may not" in warnings[0]


def page(status: int) -> Callable[[Request], Reply]:
    """Return a reply of a proxy, or of a server that is no collector."""
    # After a 204 no body may come: it would be taken for the beginning of the next answer.
    body = b"" if status == 204 else b"<html>nginx</html>"
    return lambda _: (status, {"Location": "http://elsewhere/"}, body)


NO_COLLECTOR = [200, 204, 301, 302, 308, 400, 401, 403, 404, 405, 407, 408, 415, 421, 451, 500, 501]


@pytest.mark.parametrize("status", NO_COLLECTOR)
def test_while_the_way_is_at_fault_values_wait(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Values wait while a proxy or a wrong server answers, and the log says once what to check."""
    monkeypatch.setattr(collectors_module, "BACK_OFF_S_MAX", 0.05)
    with fake_collector(script=[page(status)] * 7) as fake, client_of(fake) as client:
        record(client, 10)
        assert client.flush(60)
        record(client, 5)
        assert client.flush(60)

        stats = client.stats
        assert (stats.sent, stats.rejected, stats.dropped) == (15, 0, 0)
        assert stats.retries >= 7
        assert f"{status}" in (stats.last_error or "")
        (warning,) = [record.getMessage() for record in caplog.records]
        assert f"values wait: {fake.url} answers {status}" in warning
        assert "URL" in warning or "METRICS_TOKEN" in warning


def test_where_one_way_is_at_fault_the_next_collector_gets_the_values_at_once() -> None:
    """A collector whose URL leads to another server is left alone; the next one gets all."""
    with fake_collector() as wrong, fake_collector() as good:
        wrong.answer = page(404)
        with client_of(wrong, good) as client:
            for _ in range(20):
                record(client, 10)
                assert client.flush(60)

            assert (client.stats.sent, client.stats.rejected) == (200, 0)
            assert len(wrong.requests) <= 8


def test_a_way_that_stays_at_fault_costs_each_batch_its_time_and_no_more() -> None:
    """A batch that a proxy refuses all the time is dropped after `repeat_seconds`, and reported."""
    with fake_collector() as fake:
        fake.answer = page(403)
        with client_of(fake, repeat_seconds=1.2, answer_seconds=0.5, connect_seconds=0.5) as client:
            record(client, 10)
            wait_until(lambda: client.stats.dropped == 10, 60, "it is given up")
            assert "403" in (client.stats.last_error or "")

            fake.answer = taken
            wait_until(lambda: fake.dropped("a") == 10, 60, "the loss is reported")


@pytest.mark.parametrize("body", [b"<html>nginx</html>", b'{"detail":"A body may have ..."}'])
def test_a_batch_that_is_too_large_is_sent_in_parts(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that is too large is sent in parts; a value too large alone is rejected."""

    def limited(request: Request) -> Reply:
        is_large = request.messages > 3 or 13.0 in request.items[0].get("values", ())
        return (413, {}, body) if is_large else taken(request)

    with fake_collector() as fake, client_of(fake) as client:
        fake.answer = limited
        record(client, 20)
        record(client, 5, key="b")
        assert client.flush(60)

        assert sorted(fake.values("a")) == [each for each in all_of(20) if each != 13.0]
        assert fake.values("b") == all_of(5)
        assert (client.stats.sent, client.stats.rejected, client.stats.dropped) == (24, 1, 0)
        assert "batch_size" in caplog.text


def test_retry_after_is_honoured(fake: FakeCollector) -> None:
    """A client repeats a batch only after the seconds that Retry-After asks for."""
    came: list[float] = []

    def noted(reply: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
        return lambda request: (came.append(time.monotonic()), reply(request))[1]

    fake.script += [noted(refusing(503, stored="no", retry_after=1)), noted(taken)]
    with client_of(fake) as client:
        record(client, 1)
        wait_until(lambda: len(came) == 2, 60, "the second try")

        assert came[1] - came[0] >= 1


def test_while_all_are_away_values_wait_and_land_in_their_hours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values that wait for a collector keep the hours in which they were recorded."""
    port = free_port()
    now = [1_795_442_399.0]
    monkeypatch.setattr(client_module.time, "time", lambda: now[0])
    with client_of(f"http://127.0.0.1:{port}") as client:
        record(client, 10)
        now[0] += 1.0
        record(client, 20)
        wait_until(lambda: client.stats.retries >= 2, 60, "it tries")

        assert client.stats.buffered == 30

        with fake_collector(port=port) as back:
            wait_until(lambda: client.stats.sent == 30, 60, "the values are sent")

            assert back.hours("a") == {498733: 10, 498734: 20}
            assert client.stats.dropped == 0


def test_without_room_for_folds_the_newest_are_dropped_counted_and_reported(
    fake: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """A full buffer that must not fold drops the newest, logs it once, and reports them."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake, max_buffered=100, max_folded=0) as client:
        record(client, 250)
        record(client, 50, key="b")
        wait_until(lambda: len(fake.requests) >= 3, 60, "it tries")
        record(client, 50)
        wait_until(lambda: "dropped" in caplog.text, 60, "the log tells")

        assert client.stats.dropped == 250
        assert caplog.text.count("the buffer is full: new values are dropped") == 1

        fake.answer = taken
        wait_until(lambda: client.stats.buffered == 0, 60, "the collector is back")
        assert client.flush(60)
        assert fake.values("a") == all_of(100)
        assert (fake.dropped("a"), fake.dropped("b")) == (200, 50)
        assert client.stats.sent == 100

        record(client, 5)
        assert client.flush(60)
        assert (len(fake.values("a")), fake.dropped("a")) == (105, 200)


PATIENCE = {"repeat_seconds": 1.5, "answer_seconds": 0.5, "connect_seconds": 0.5}


def test_no_repetition_outlives_the_memory_of_the_collectors(fake: FakeCollector) -> None:
    """A batch that may be stored is dropped and reported once `repeat_seconds` are over."""

    def give_up(client: Client) -> None:
        fake.requests.clear()
        record(client, 10)
        wait_until(lambda: client.stats.dropped == 10, 60, "it is given up")

    def seconds_until_given_up() -> float:
        with client_of(fake, **PATIENCE) as client:
            return seconds_of(lambda: give_up(client))

    fake.answer = lambda _: NO_REPLY
    assert_within(PATIENCE["repeat_seconds"], seconds_until_given_up)
    with client_of(fake, **PATIENCE) as client:
        give_up(client)
        lost = {request.key for request in fake.requests}
        assert len(fake.requests) > 1

        fake.answer = taken
        wait_until(lambda: fake.counted, 60, "the loss is reported")
        assert fake.values("a") == []
        assert fake.dropped("a") == 10
        assert not lost & set(fake.counted)


def test_what_is_certainly_not_stored_is_never_too_old(fake: FakeCollector) -> None:
    """A batch that is certainly not stored is repeated even after `repeat_seconds`."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake, repeat_seconds=1.1, answer_seconds=0.5, connect_seconds=0.5) as client:
        record(client, 10)
        first = time.monotonic()
        wait_until(
            lambda: fake.requests and time.monotonic() - first > 2, 60, "more time than that passes"
        )
        fake.answer = taken

        wait_until(lambda: client.stats.sent == 10, 60, "it is sent after all")
