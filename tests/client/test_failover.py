"""Apps whose collectors die count all that they record once, and do not wait."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from ops.lab.chaos.apps.check import differences
from ops.lab.chaos.apps.report import KeyHour, Report
from ops.lab.service import ROOT, Answer
from tests.lab.test_chaos import last_line, numbers_in


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Do a run to its end."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "ops.lab.chaos", "--load", "apps"),
            *("--calm", "1", "--apps", "2", *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def passed(folder: Path, *arguments: str) -> dict[str, int]:
    """Do a run, check that it passes and leaves no files, and return its last line's numbers."""
    done = run(folder, *arguments)

    assert done.returncode == 0, done.stdout + done.stderr
    assert last_line(done.stdout).startswith("PASS seed=")
    assert not list(folder.iterdir())
    return numbers_in(last_line(done.stdout))


def test_a_collector_that_dies_costs_no_message_and_no_app_waits(tmp_path: Path) -> None:
    """No message is dropped or counted twice when its collectors die."""
    numbers = passed(tmp_path, "--seed", "11", "--count", "2", "--every", "1")

    assert numbers["faults"] >= 2
    assert numbers["recorded"] > 200
    assert numbers["dropped"] == 0


def test_what_is_recorded_while_all_collectors_are_away_counts_or_is_told_to_be_dropped(
    tmp_path: Path,
) -> None:
    """While all collectors are away, a client folds; one that must not reports what it drops."""
    numbers = passed(tmp_path, "--seed", "12", "--away", "2")

    assert numbers["recorded"] > 200
    assert 0 < numbers["dropped"] < numbers["recorded"]


def test_a_client_that_does_not_tell_what_it_drops_is_found_out(tmp_path: Path) -> None:
    """A run fails, names the key and keeps its logs if a client does not report its drops."""
    shutil.copytree(ROOT / "src" / "metrics", tmp_path / "source" / "metrics")
    with (tmp_path / "source" / "metrics" / "client" / "buffer.py").open("a") as buffer:
        buffer.write("\n\nBuffer.take_drops = lambda self: {}\n")
    (tmp_path / "run").mkdir()

    done = run(
        tmp_path / "run",
        *("--seed", "13", "--away", "2", "--source", str(tmp_path / "source")),
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert last_line(done.stdout).startswith("FAIL seed=13 ")
    assert "checkout.web-2 in " in done.stdout
    assert "checkout.web-1 in " not in done.stdout
    assert list((tmp_path / "run").iterdir())


def report(**hours: KeyHour) -> Report:
    """Return the report of an app that has delivered what it recorded, by the hour of the day."""
    named = {f"2026-11-23T{hour.removeprefix('at_')}": each for hour, each in hours.items()}
    found = Report("app.web-1", named, is_delivered=True)
    found.stats = {
        "recorded": found.recorded,
        "sent": found.recorded - found.dropped,
        "rejected": 0,
        "dropped": found.dropped,
        "buffered": 0,
    }
    return found


class QueryService:
    """Answers with the hours that it is given, as the real one does."""

    def __init__(self, **hours: KeyHour) -> None:
        self._hours = hours

    def get(self, path: str) -> Answer:
        """Return the summary of one of its hours."""
        _, key, stat, _, hour = path.split("/")
        assert (key, stat) == ("app.web-1", "summary")
        found = self._hours.get(f"at_{hour}", KeyHour())
        return answer(200 if found.count else 404, asdict(found))


def answer(status: int, members: dict[str, float]) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, http.client.HTTPMessage(), json.dumps(members).encode())


def test_what_is_counted_as_it_was_recorded_makes_no_difference() -> None:
    """The check finds no difference if every hour answers what was recorded and dropped."""
    hours = {"at_14": KeyHour(2, 5.0, 1), "at_15": KeyHour(0, 0.0, 3)}

    assert list(differences([report(**hours)], QueryService(**hours).get)) == []


@pytest.mark.parametrize(
    "answered",
    [
        {"at_14": KeyHour(2, 5.0, 1)},
        {"at_14": KeyHour(4, 23.0, 1)},
        {"at_14": KeyHour(3, 15.0, 1)},
        {"at_14": KeyHour(3, 14.0)},
        {"at_14": KeyHour(2, 5.0, 1), "at_15": KeyHour(1, 9.0)},
    ],
    ids=["lost", "twice", "another value", "a drop that is not told", "in the wrong hour"],
)
def test_each_message_that_is_counted_wrongly_is_found(answered: dict[str, KeyHour]) -> None:
    """The check finds a message that is lost, doubled, altered or in the wrong hour."""
    recorded = report(at_14=KeyHour(3, 14.0, 1), at_15=KeyHour())

    found = list(differences([recorded], QueryService(**answered).get))

    assert found
    assert all(each.startswith("app.web-1 in 2026-11-23T1") for each in found)


@pytest.mark.parametrize(
    ("name", "told"), [("sent", 1), ("rejected", 1), ("dropped", 1), ("buffered", 1)]
)
def test_a_client_that_tells_other_numbers_is_found(name: str, told: int) -> None:
    """The check finds a client whose stats differ from what was recorded."""
    hours = {"at_14": KeyHour(2, 5.0)}
    recorded = report(**hours)
    recorded.stats[name] = told

    (found,) = differences([recorded], QueryService(**hours).get)

    assert found.startswith("app.web-1: its client's stats are ")


def test_a_client_that_did_not_deliver_is_found() -> None:
    """The check finds a client whose close() did not deliver everything."""
    hours = {"at_14": KeyHour(2, 5.0)}
    recorded = report(**hours)
    recorded.is_delivered = False

    (found,) = differences([recorded], QueryService(**hours).get)

    assert "not all was delivered" in found
