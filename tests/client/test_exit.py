"""When a process ends, values that wait are delivered within two seconds, or lost."""

import time

import pytest

from metrics.client.client import EXIT_SECONDS
from ops.local.waiting import wait_until
from tests.client.apps.exits import VALUES
from tests.support.fake_collector import fake_collector
from tests.support.scenarios import run, running

ALL = list(range(VALUES))
A_LITTLE_S = 10.0
"""For the interpreter's own end, on a busy machine; an answer would take far longer."""


@pytest.mark.parametrize(
    ("scenario", "is_good"),
    [
        ("falling_off_the_end", True),
        ("sys_exit", True),
        ("sys_exit_in_a_thread", True),
        ("a_flush_and_no_more", True),
        ("an_exception", False),
        ("keyboard_interrupt", False),
    ],
)
def test_what_waits_is_delivered_without_close(scenario: str, is_good: bool) -> None:
    """Values that wait are delivered at any regular end of a process, without close()."""
    with fake_collector() as collector, running("exits.py", scenario, collector.url) as app:
        ended = app.end()

        assert (ended.status == 0) is is_good
        assert collector.values("app") == ALL


def test_threads_that_outlive_the_main_one_are_waited_for() -> None:
    """Values of a thread that outlives the main thread are delivered."""
    with fake_collector() as collector:
        run("exits.py", "a_thread_that_outlives_main", collector.url)

    assert collector.values("app") == collector.values("late") == ALL


def test_os_exit_loses_what_waits_and_nothing_hangs() -> None:
    """os._exit() ends the process at once, and the values that wait are lost."""
    with fake_collector() as collector, running("exits.py", "os_exit", collector.url) as app:
        ended = app.end()

    assert (ended.status, ended.complaints) == (3, "")
    assert collector.counted == {}


def test_a_collector_that_hangs_holds_up_the_end_for_two_seconds() -> None:
    """A collector that hangs holds up the end of a process for EXIT_SECONDS."""
    with fake_collector() as collector:
        collector.gate.clear()
        with running("exits.py", "a_collector_that_hangs", collector.url) as app:
            wait_until(lambda: collector.requests)
            app.go_on()
            began = float(app.heard())
            ended = app.end()
            took_s = time.time() - began

    assert ended.status == 0
    assert EXIT_SECONDS <= took_s < EXIT_SECONDS + A_LITTLE_S


def test_functions_of_the_exit_may_record() -> None:
    """Exit functions registered after the client was made can record; later ones do no harm."""
    with fake_collector() as collector:
        run("exits.py", "functions_of_the_exit", collector.url)

    assert collector.values("app") == collector.values("before") == ALL
    assert collector.values("after") == []


@pytest.mark.parametrize(
    "scenario", ["first_use_in_a_function_of_the_exit", "first_use_in_the_last_moment"]
)
def test_a_first_use_that_comes_too_late_does_no_harm(scenario: str) -> None:
    """A first record at the interpreter's end raises no error and changes no status."""
    with fake_collector() as collector, running("exits.py", scenario, collector.url) as app:
        ended = app.end()

    assert ended.status == 0
    assert "Traceback" not in ended.complaints
