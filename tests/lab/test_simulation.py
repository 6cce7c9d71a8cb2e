"""Each message of a simulation counts once, whatever comes between any two commands."""

import re
import subprocess
import sys

import pytest

from ops.lab.service import ROOT
from ops.lab.simulation.series import FAKE, Plan, Tally, outcomes_of, report_of, tallies_of
from ops.lab.simulation.trace import lines_of
from tests.conftest import SERVERS

JOBS = 2
FAKE_SEEDS = 12
REAL_SEEDS = 12
"""To see that it runs; what searches is ``python -m ops.lab.simulation --minutes 10``."""


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ops.lab.simulation``."""
    return subprocess.run(
        [sys.executable, "-m", "ops.lab.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_all_good(plan: Plan, seeds: int) -> None:
    """Run schedules, and show how to repeat the first bad one if there is any."""
    tally = Tally()
    for more in tallies_of(plan, range(seeds), JOBS):
        tally.add(more)

    assert not tally.bad, report_of(plan, tally.bad[0])
    assert tally.schedules == seeds
    assert tally.messages["1"] > 3 * seeds
    assert tally.faults.total() > seeds


def test_no_schedule_on_fakeredis_counts_a_message_wrongly() -> None:
    """On fakeredis every message of every schedule counts once, with all kinds of faults."""
    assert_all_good(Plan(FAKE), FAKE_SEEDS)


@pytest.mark.parametrize("version", SERVERS, ids=lambda version: ".".join(map(str, version)))
def test_no_schedule_on_a_real_server_counts_a_message_wrongly(version: tuple[int, ...]) -> None:
    """On each real server every message of every schedule counts once, with all kinds of faults."""
    assert_all_good(Plan(str(SERVERS[version])), REAL_SEEDS)


@pytest.mark.parametrize("seed", [3, 57])
def test_a_seed_replays_exactly(seed: int) -> None:
    """A seed gives the same commands, replies and faults again, in the same order."""
    first, again = (next(outcomes_of(Plan(FAKE), [seed])) for _ in range(2))

    assert lines_of(first.records) == lines_of(again.records)
    assert len(first.records) > 50
    assert first.faults == again.faults


def test_a_series_says_what_it_found_in_its_last_line() -> None:
    """A good series ends with status 0 and a last line that says so."""
    done = simulate("--seeds", "0:3")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(
        r"OK: nothing lost, nothing twice: 3 schedules, \d+ a minute", done.stdout.splitlines()[-1]
    )


def test_a_bad_seed_is_told_with_the_command_that_shows_it_again() -> None:
    """A bad seed is printed with a command that fails again with the same seed."""
    done = simulate("--seeds", "0:600", "--jobs", "1", "--sabotage", "no fence")

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("FAILED: ")
    command = re.search(r"^REPRO: \.venv/bin/python -m (.*)$", done.stdout, re.MULTILINE)
    assert command
    seed = re.search(r"--seed (\d+)", command[1])
    assert seed
    again = simulate("--seed", seed[1], "--on", FAKE, "--sabotage", "no fence")
    assert again.returncode == 1
    assert command[0] in again.stdout
