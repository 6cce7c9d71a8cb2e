"""What is fuzzed: readers under atheris, and property tests in rounds of new examples."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import monotonic

ROOT = Path(__file__).parents[3]

PROFILE = "fuzz"
"""The profile of Hypothesis for them; tests/conftest.py has it."""

ENDS_WITHIN_S = 900.0
"""How much longer than asked for a process may take."""

_REPORT_LINES = 60
_NOISE = ("#", "INFO:", "WARNING:")
_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a part.

    Attributes:
        name: Its name.
        done: How much was tried.
        report: What was found; empty if all is well.
    """

    name: str
    done: str
    report: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.report


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of ``targets.py``, under atheris.

    Attributes:
        name: Its name there.
        findings: The folder for inputs that break a promise.
    """

    name: str
    findings: Path

    def run(self, seconds: float, seed: int) -> Outcome:
        """Fuzz it for some seconds, until something is found."""
        with TemporaryDirectory() as folder:
            guided = "ops.lab.fuzz.guided"
            ended = _run([guided, self.name, f"{seconds:.0f}", str(seed), folder], seconds)
            runs = _RUNS.search(ended.stdout)
            done = f"{int(runs[1]):,} inputs" if runs else f"ended with {ended.returncode}"
            if ended.returncode == 0 and runs:
                return Outcome(self.name, done)
            kept = [self._keep(path) for path in sorted(Path(folder).glob("*-*"))]
        again = "\n".join(f'ops/fuzz --replay "{self.name}" {path}' for path in kept if path)
        return Outcome(self.name, done, f"{_end_of(ended.stdout)}\n{again}")

    def _keep(self, path: Path) -> Path | None:
        kind, _, digest = path.name.partition("-")
        if kind not in {"crash", "timeout", "oom"}:
            return None
        self.findings.mkdir(exist_ok=True)
        kept = self.findings / f"{self.name.replace(' ', '-')}-{digest[:12]}"
        kept.write_bytes(path.read_bytes())
        return kept.relative_to(ROOT)


@dataclass(frozen=True, slots=True)
class Properties:
    """Property tests.

    Attributes:
        name: What they are about.
        tests: The arguments of pytest that name them.
    """

    name: str
    tests: Sequence[str]

    def run(self, seconds: float, seed: int) -> Outcome:
        """Run them again and again, each time with other examples, until something is found."""
        end = monotonic() + seconds
        for rounds in count(1):
            number = seed + rounds - 1
            options = [f"--hypothesis-profile={PROFILE}", f"--hypothesis-seed={number}", "-q"]
            ended = _run(["pytest", *self.tests, *options, "-p", "no:randomly"], seconds)
            if ended.returncode:
                again = f"pytest {' '.join(self.tests)} {' '.join(options)}"
                return Outcome(self.name, f"round {rounds}", f"{_end_of(ended.stdout)}\n{again}")
            if monotonic() >= end:
                break
        return Outcome(self.name, f"{rounds} rounds")


Part = Reader | Properties
"""Something that is fuzzed."""

PROPERTIES = (
    Properties("both services (schemathesis)", ("tests/processes/test_openapi.py",)),
    Properties("HTTP beside h11", ("tests/server/test_http_server.py", "-k", "h11 or chunks")),
    Properties(
        "entries of a worker", ("tests/worker/test_any_entry.py", "tests/library/test_entry.py")
    ),
    Properties("hashes by hand", ("tests/query/test_unsound.py", "-k", "sound or hand or off")),
)
"""All property tests."""


def _run(arguments: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a module of Python; what it prints is in the result, also if it does not end."""
    begun = [sys.executable, "-m", *arguments]
    with TemporaryFile("w+", errors="replace") as printed:
        try:
            status = subprocess.run(
                begun,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=seconds + ENDS_WITHIN_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            status = 1
            printed.write(f"\n{error}\n")
        printed.seek(0)
        return subprocess.CompletedProcess(begun, status, printed.read())


def _end_of(text: str) -> str:
    """Return the end of what was printed, without what libFuzzer says of each input it keeps."""
    lines = [line for line in text.splitlines() if not line.startswith(_NOISE)]
    return "\n".join(lines[-_REPORT_LINES:])
