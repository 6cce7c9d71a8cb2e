"""The client works in apps that gevent patches, early or late."""

import pytest

from ops.local.waiting import wait_until
from tests.client.apps.patched import ANSWER_S, GREENLETS, VALUES
from tests.support.fake_collector import FakeCollector, fake_collector
from tests.support.scenarios import run, running


def assert_greenlets_count_once(collector: FakeCollector) -> None:
    """Check that what each greenlet has recorded was delivered once."""
    for number in range(GREENLETS):
        assert collector.values(f"greenlet-{number}") == list(range(VALUES))


@pytest.mark.parametrize(
    "scenario",
    ["before_import", "after_import", "after_construction", "after_the_first_record"],
)
def test_whenever_gevent_patches_all_is_delivered(scenario: str) -> None:
    """All values are delivered, whenever gevent patches the app."""
    with fake_collector() as collector:
        run("patched.py", scenario, collector.url)

    assert_greenlets_count_once(collector)
    assert collector.values("first") == [1] * (scenario == "after_the_first_record")


def test_greenlets_keep_their_pace_while_a_collector_hangs() -> None:
    """Greenlets are not held up while the sender waits for a collector that hangs."""
    with fake_collector() as collector:
        collector.gate.clear()
        with running("patched.py", "collector_that_hangs", collector.url) as app:
            late_s = float(app.heard())
            was_hanging = bool(collector.requests) and not collector.counted
            collector.gate.set()
            app.go_on()
            ended = app.end()

    assert was_hanging
    assert late_s < ANSWER_S / 8
    assert ended.status == 0


def test_threads_of_a_pool_may_record() -> None:
    """Threads of gevent's pool can record, also the first values, and all are delivered."""
    with fake_collector() as collector:
        run("patched.py", "thread_pool", collector.url)

    assert_greenlets_count_once(collector)


def test_values_that_wait_are_not_sent_by_a_forked_child() -> None:
    """A forked child sends only its own values, although gevent copies the parent's sender."""
    with fake_collector() as collector:
        run("patched.py", "fork_while_values_wait", collector.url)

    assert collector.values("parent") == [1, 2, 3]
    assert collector.values("child") == [2, 3]
    assert len(collector.requests) == len(collector.counted)


def test_a_request_under_way_is_not_repeated_by_a_forked_child() -> None:
    """A forked child does not repeat the parent's request, and sends its own values."""
    with fake_collector() as collector:
        collector.gate.clear()
        with running("patched.py", "fork_during_a_request", collector.url) as app:
            wait_until(lambda: len(collector.requests) == 1)
            app.go_on()
            wait_until(lambda: len(collector.requests) == 2)
            collector.gate.set()
            ended = app.end()

    assert (ended.status, ended.complaints) == (0, "")
    assert collector.values("parent") == [1, 2, 3]
    assert collector.values("child") == [3]
    assert len(collector.requests) == len(collector.counted)


def test_callbacks_of_the_loop_may_record() -> None:
    """A callback of gevent's loop, where nothing can wait, can record."""
    with fake_collector() as collector:
        run("patched.py", "first_record_in_a_callback", collector.url)

    assert sorted(collector.values("callback")) == [0, 1, 2]
    assert collector.values("greenlet") == [1]
