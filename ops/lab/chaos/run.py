"""One run: load and faults, then calm, and what is found out in it."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from time import monotonic, sleep

from redis.exceptions import RedisError

from metrics.errors import MetricsError
from ops.lab.chaos.auditor import Auditor
from ops.lab.chaos.check import (
    Hash,
    changes,
    differences,
    read_hashes,
    unlike_their_values,
    wrong_answers,
    wrong_books,
)
from ops.lab.chaos.clients import Load
from ops.lab.chaos.fault import Fault
from ops.lab.chaos.schedule import schedule
from ops.lab.chaos.system import CLAIM_S, System
from ops.lab.chaos.verdict import Finding, Verdict
from ops.lab.ledger import Ledger

KNOWN_TIMEOUT_S = 30.0
"""How long it may take, after the faults, until clients know what became of their batches."""

DRAIN_TIMEOUT_S = 60.0
CLAIM_ROUND_S = 1.5 * CLAIM_S
"""After this long a worker has looked for everything that it can claim."""

_FAILURES = (TimeoutError, RuntimeError, subprocess.TimeoutExpired, MetricsError, RedisError)
"""What is raised when something that must come does not."""

Say = Callable[[str], None]


class Run:
    """A system, its clients and their ledger, and what was found so far.

    Args:
        system: What is broken; it runs.
        ledger: What the clients write down.
        load: The clients.
        seed: Of the schedule.
        say: Tells a person how it goes.
    """

    def __init__(self, system: System, *, ledger: Ledger, load: Load, seed: int, say: Say) -> None:
        self._system = system
        self._ledger = ledger
        self._load = load
        self._seed = seed
        self._say = say
        self._faults = 0
        self._findings: list[Finding] = []
        self._hashes: list[Hash] = []

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
        auditor = Auditor(self._system.query)
        auditor.start()
        self._load.start()
        with self._noting():
            self._inject(faults, seconds, every_s, count)
        with self._noting():
            self._come_to_rest()
            self._compare()
            if not self._findings:
                self._see_that_it_stays()
        self._load.leave()
        auditor.leave()
        self._say(f"the audit was read {auditor.answers} times on the way")
        self._find(*self._load.findings, *auditor.findings)
        counted = sum(each.aggregate.count for each in self._hashes)
        accepted = self._ledger.counts()["1"]
        return Verdict(self._seed, accepted, counted, self._faults, self._findings)

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
            done = faults[name].inject(random)
            self._faults += 1
            self._say(
                f"{monotonic() - begun:6.1f} s  {self._load.batches:6d} batches  {name}: {done}"
            )
            self._system.check_running()
            sleep(max(0.0, begin + every_s - monotonic()))

    def _come_to_rest(self) -> None:
        self._say("no more faults; waiting until every batch is known and the backlog is empty")
        self._system.wait_until_ready()
        self._find(*self._load.finish(KNOWN_TIMEOUT_S))
        self._system.drain(DRAIN_TIMEOUT_S)

    def _compare(self) -> None:
        """Compare the ledger, the hashes, the audit and the query service."""
        when = "after the faults"
        self._hashes = self._read_hashes()
        self._find(*differences(self._ledger, self._hashes, when))
        self._find(*unlike_their_values(self._hashes))
        self._find(*wrong_books(self._system, when))
        self._find(*wrong_answers(self._system, self._hashes, when))

    def _see_that_it_stays(self) -> None:
        """Look for what fresh workers may find, and what may come back when all is restarted."""
        self._say("draining a second time, with fresh workers")
        self._system.replace_workers()
        self._look_for_changes("after a second drain")
        self._say("restarting everything; Redis was killed")
        self._system.restart()
        self._look_for_changes("after everything was restarted")
        # What is torn off the end of the append-only file shows at the restart after the next.
        self._say("restarting Redis")
        self._system.redis.restart(signal.SIGTERM)
        self._look_for_changes("after Redis was restarted")

    def _look_for_changes(self, when: str) -> None:
        self._system.wait_until_ready()
        sleep(CLAIM_ROUND_S)
        self._system.drain(DRAIN_TIMEOUT_S)
        self._find(*changes(self._hashes, self._read_hashes(), when))
        self._find(*wrong_books(self._system, when))

    def _read_hashes(self) -> list[Hash]:
        return read_hashes(self._system.connection, self._system.partitions)

    def _find(self, *findings: Finding) -> None:
        self._findings += findings

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Let a failure be found, and no more be done of what failed."""
        try:
            yield
        except _FAILURES as error:
            self._find(Finding(f"{type(error).__name__}: {error}"))
