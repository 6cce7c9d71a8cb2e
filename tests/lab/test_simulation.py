"""Each message of a simulation counts once, whatever comes between any two commands."""

import re
import shlex

import pytest

from ops.lab.simulation.__main__ import main
from ops.lab.simulation.series import FAKE, Plan, outcomes_of, report_of, tally_of
from ops.lab.simulation.trace import lines_of
from tests.conftest import SERVERS

SEEDS = 8
"""To see that it runs; what searches is ``python -m ops.lab.simulation --minutes 10``."""


def assert_all_good(plan: Plan) -> None:
    """Run schedules, and show how to repeat the first bad one if there is any."""
    tally = tally_of(plan, range(SEEDS))

    assert not tally.bad, report_of(plan, tally.bad[0])
    assert tally.schedules == SEEDS
    assert tally.messages["1"] > 3 * SEEDS
    assert tally.faults.total() > SEEDS


def test_no_schedule_on_fakeredis_counts_a_message_wrongly() -> None:
    """On fakeredis every message of every schedule counts once, with all kinds of faults."""
    assert_all_good(Plan(FAKE))


@pytest.mark.parametrize("version", SERVERS, ids=lambda version: ".".join(map(str, version)))
def test_no_schedule_on_a_real_server_counts_a_message_wrongly(version: tuple[int, ...]) -> None:
    """On each real server every message of every schedule counts once, with all kinds of faults."""
    assert_all_good(Plan(str(SERVERS[version])))


@pytest.mark.parametrize("seed", [3, 57])
def test_a_seed_replays_exactly(seed: int) -> None:
    """A seed gives the same commands, replies and faults again, in the same order."""
    first, again = (next(outcomes_of(Plan(FAKE), [seed])) for _ in range(2))

    assert lines_of(first.records) == lines_of(again.records)
    assert len(first.records) > 50
    assert first.faults == again.faults


def test_a_series_says_what_it_found_in_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A good series ends with status 0 and a last line that says so."""
    status = main(["--seeds", "0:3", "--jobs", "2"])

    printed = capsys.readouterr().out
    assert status == 0, printed
    assert re.match(
        r"OK: nothing lost, nothing twice: 3 schedules, \d+ a minute", printed.splitlines()[-1]
    )


def test_a_bad_seed_is_told_with_the_command_that_shows_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bad seed is printed with a command that fails again with the same seed."""
    # The first that finds it on fakeredis, when the test was written.
    assert main(["--seeds", "1:600", "--jobs", "1", "--sabotage", "no fence"]) == 1

    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("FAILED: ")
    command = re.search(
        r"^REPRO: \.venv/bin/python -m ops\.lab\.simulation (.*)$", printed, re.MULTILINE
    )
    assert command
    assert main(shlex.split(command[1])) == 1
    assert command[0] in capsys.readouterr().out
