"""A process that forks sends what it has recorded itself, and only that."""

import pytest

from ops.local.waiting import wait_until
from tests.client.apps.forks import VALUES
from tests.support.fake_collector import FakeCollector, fake_collector
from tests.support.scenarios import run, running

OF_EACH = list(range(VALUES))


def assert_all_count_once(collector: FakeCollector, *keys: str) -> None:
    """Check that each key has the values that each process records, and that no others arrived."""
    assert {key: collector.values(key) for key in keys} == dict.fromkeys(keys, OF_EACH)
    assert sum(request.messages for request in collector.counted.values()) == (
        len(keys) * VALUES + len(collector.values("first"))
    )


@pytest.mark.parametrize(
    ("scenario", "first"),
    [
        ("before_use", []),
        ("after_use", [1]),
        ("while_values_wait", [1]),
        ("behind_its_back_before_use", []),
    ],
)
def test_parent_and_children_each_send_their_own(scenario: str, first: list[float]) -> None:
    """A parent and its children each send their own values, whenever and however it forks."""
    with fake_collector() as collector:
        run("forks.py", scenario, collector.url)

    assert_all_count_once(collector, "parent", "child-0", "child-1", "child-2")
    assert collector.values("first") == first


def test_a_child_sends_its_first_values_at_once() -> None:
    """A forked child sends its first values at once, and so can end by ``os._exit``."""
    with fake_collector() as collector:
        run("forks.py", "unnoticed", collector.url)

    assert_all_count_once(collector, "parent", "child-0", "child-1", "child-2")


def test_a_request_under_way_stays_with_the_parent() -> None:
    """A forked child neither repeats the parent's request nor cuts its connection."""
    with fake_collector() as collector:
        collector.gate.clear()
        with running("forks.py", "during_a_request", collector.url) as app:
            wait_until(lambda: len(collector.requests) == 1)
            app.go_on()
            wait_until(lambda: len(collector.requests) == 4)
            collector.gate.set()
            ended = app.end()

    assert (ended.status, ended.complaints) == (0, "")
    assert_all_count_once(collector, "parent", "child-0", "child-1", "child-2")
    assert len(collector.requests) == len(collector.counted)


def test_children_of_children_send_their_own() -> None:
    """Children of children send their own values, each once."""
    with fake_collector() as collector:
        run("forks.py", "grandchildren", collector.url)

    assert_all_count_once(collector, "parent", "child-0", "child-1", "child-2")


def test_a_thread_may_fork_while_others_record() -> None:
    """A child forked while other threads record sends its own values, and only those."""
    with fake_collector() as collector:
        run("forks.py", "from_a_thread", collector.url)

    for number in range(20):
        assert collector.values(f"child-{number}") == OF_EACH
    for number in range(3):
        assert collector.values(f"thread-{number}") == list(range(10_000))


def test_a_client_that_was_closed_is_closed_in_a_child() -> None:
    """A closed client is closed in a forked child too, and counts what it drops there."""
    with fake_collector() as collector:
        run("forks.py", "closed", collector.url)

    assert_all_count_once(collector)
