"""One run: load and faults, then calm, and what is found out in it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from time import monotonic, sleep

from redis.exceptions import RedisError

from metrics.errors import MetricsError
from ops.lab.chaos.apps.fleet import Fleet
from ops.lab.chaos.catalogue import Fault
from ops.lab.chaos.clients import Clients
from ops.lab.chaos.schedule import schedule
from ops.lab.chaos.system import ChaosSystem
from ops.lab.chaos.verdict import Finding, Say, Verdict

KNOWN_TIMEOUT_S = 30.0
"""How long it may take, after the faults, until it is known what became of all that was sent."""

DRAIN_TIMEOUT_S = 60.0

_FAILURES = (
    *(TimeoutError, RuntimeError, ValueError, OSError, subprocess.TimeoutExpired),
    *(MetricsError, RedisError),
)
"""What is raised when something that must come does not."""


class Run:
    """A system and its load, and what was found so far.

    Args:
        system: What is broken; it runs.
        load: Those who send.
        seed: Of the schedule.
        say: Shows a person how it goes.
    """

    def __init__(self, system: ChaosSystem, load: Clients | Fleet, *, seed: int, say: Say) -> None:
        self._system = system
        self._load = load
        self._seed = seed
        self._say = say
        self._faults = 0
        self._findings: list[Finding] = []

    def execute(
        self,
        faults: Mapping[str, Fault],
        *,
        seconds: float,
        every_s: float,
        count: int | None = None,
    ) -> Verdict:
        """Inject faults under load, let everything come to rest, compare, and give the verdict.

        Args:
            faults: By name.
            seconds: How long faults are injected.
            every_s: From the beginning of a fault to that of the next, if it takes no longer.
            count: How many faults at most.
        """
        self._load.start()
        with self._noting():
            self._inject(faults, seconds, every_s, count)
        with self._noting():
            self._say("no more faults; waiting until all is delivered and the backlog is empty")
            self._system.wait_until_ready()
            self._findings += self._load.finish(KNOWN_TIMEOUT_S)
            self._system.drain(DRAIN_TIMEOUT_S)
            # One by one: what was found before a failure counts as well.
            for finding in self._load.check(self._system, self._say):
                self._findings.append(finding)
        self._load.leave()
        return Verdict(self._seed, self._load.numbers(), self._faults, self._findings)

    def _inject(
        self, faults: Mapping[str, Fault], seconds: float, every_s: float, count: int | None
    ) -> None:
        begun = monotonic()
        for name, random in islice(schedule(faults, self._seed), count):
            begin = monotonic()
            if begin + every_s - begun > seconds:
                sleep(max(0.0, begun + seconds - begin))
                return
            sleep(random.uniform(0, every_s / 2))
            done = faults[name](random)
            self._faults += 1
            self._say(f"{monotonic() - begun:6.1f} s  {self._load.progress()}  {name}: {done}")
            self._system.check_running()
            sleep(max(0.0, begin + every_s - monotonic()))

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Let a failure be found, and no more be done of what failed."""
        try:
            yield
        except _FAILURES as error:
            self._findings.append(Finding(f"{type(error).__name__}: {error}"))
