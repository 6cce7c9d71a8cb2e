"""Short chaos runs pass, and fail when a rule is broken on purpose."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lab.service import ROOT
from ops.local.waiting import wait_until
from tests.conftest import SERVERS

FENCE = (
    "commit.lua",
    "if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 0 then\n    return 0\n  end",
    "",
)
MARK = ("append.lua", "seen = fingerprints[key]", "seen = false")


class Chaos:
    """A run, with its folder in a place of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder / "chaos"
        self.folder.mkdir()
        self._log = folder / "chaos.txt"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops.lab.chaos", *arguments],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._log.read_text("utf-8")

    def end(self, timeout_s: float) -> int:
        """Wait for its end, and return its status."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()
            raise

    def leftovers(self) -> list[str]:
        """Return the processes that have a file of it open."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                files = [str(each.readlink()) for each in (process / "fd").iterdir()]
            except OSError:
                continue
            if any(file.startswith(str(self.folder)) for file in files):
                found.append((process / "cmdline").read_text("utf-8"))
        return found


def last_line(output: str) -> str:
    """Return the last line of an output."""
    return output.strip().splitlines()[-1]


def numbers_in(verdict: str) -> dict[str, int]:
    """Return the numbers in the last line of a run, by name."""
    pairs = [word.split("=") for word in verdict.partition(": ")[0].split() if "=" in word]
    return {name: int(number) for name, number in pairs}


def assert_passes(chaos: Chaos, timeout_s: float) -> None:
    """Check that a run ends well, and leaves nothing."""
    status = chaos.end(timeout_s)

    assert status == 0, chaos.output
    verdict = last_line(chaos.output)
    numbers = numbers_in(verdict)
    assert verdict.startswith("PASS seed=")
    # How many it is depends on the machine.
    assert numbers["counted"] >= numbers["accepted"] > 100
    assert not list(chaos.folder.iterdir())
    assert not chaos.leftovers()


def test_no_fault_of_processes_or_redis_makes_a_message_count_wrongly(tmp_path: Path) -> None:
    """Over TLS, as its users, a run with five faults counts every message correctly."""
    chaos = Chaos(
        tmp_path, "--seed", "404", "--count", "5", "--every", "1", "--pause", "1", "--tls"
    )

    assert_passes(chaos, 600)
    assert chaos.output.startswith("seed 404 ")
    assert numbers_in(last_line(chaos.output))["faults"] == 5


def test_no_fault_of_a_cluster_makes_a_message_count_wrongly(tmp_path: Path) -> None:
    """A run with a killed master, a moved slot and a stalled worker counts correctly."""
    faults = "kill-master,move-slot,stall-worker"
    chaos = Chaos(
        tmp_path,
        *("--seed", "3", "--count", "3", "--every", "1", "--on", "cluster", "--faults", faults),
    )

    assert_passes(chaos, 600)
    for name in faults.split(","):
        assert f"  {name}: " in chaos.output


@pytest.mark.parametrize(
    ("rule", "faults"),
    [(FENCE, "stall-worker"), (MARK, "lose-answers,repeat-at-once")],
    ids=["without the fence", "without the marks"],
)
def test_a_broken_rule_is_found_out(
    tmp_path: Path, rule: tuple[str, str, str], faults: str
) -> None:
    """A run without one rule fails, names a batch that counted twice, and keeps its files."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src" / "metrics", source / "metrics")
    script, text, instead = rule
    path = source / "metrics" / "scripts" / script
    before = path.read_text("utf-8")
    assert before.count(text) == 1
    path.write_text(before.replace(text, instead), "utf-8")
    version = ".".join(map(str, min(SERVERS)))

    chaos = Chaos(
        tmp_path,
        *("--seed", "2", "--count", "3", "--every", "0.5", "--server", version),
        *("--faults", faults, "--source", str(source)),
    )

    assert chaos.end(600) == 1, chaos.output
    verdict = last_line(chaos.output)
    numbers = numbers_in(verdict)
    assert verdict.startswith("FAIL seed=2 ")
    assert numbers["counted"] > numbers["accepted"]
    (folder,) = chaos.folder.iterdir()
    assert str(folder) in chaos.output
    findings = (folder / "findings.txt").read_text("utf-8").splitlines()
    batch = verdict.partition(": ")[2].split(", ")[0]
    assert any(f"of batch {batch}: counted 2 times" in finding for finding in findings)
    assert not chaos.leftovers()


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """Ctrl-C ends a run with status 130 and leaves no process and no file."""
    chaos = Chaos(tmp_path, "--seconds", "600", "--every", "0.1", "--faults", "stall-worker")
    wait_until(lambda: "stall-worker: " in chaos.output)
    chaos.process.send_signal(signal.SIGINT)

    assert chaos.end(60) == 130
    assert last_line(chaos.output) == "ops.lab.chaos: interrupted"
    assert not list(chaos.folder.iterdir())
    assert not chaos.leftovers()


def test_a_server_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """An unknown server ends the run with status 2 and the names of those that there are."""
    chaos = Chaos(tmp_path, "--server", "5.0")

    assert chaos.end(60) == 2
    assert "--server: there is no 5.0 on this machine, but " in last_line(chaos.output)


def test_a_fault_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """An unknown fault ends the run with status 2 and the names of the known ones."""
    chaos = Chaos(tmp_path, "--faults", "kill-worker,earthquake")

    assert chaos.end(60) == 2
    assert "--faults: earthquake: the faults here are kill-collector, " in last_line(chaos.output)
    assert not chaos.leftovers()
