"""Many schedules: one after the other, or side by side in several processes."""

import logging
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ops.lab.ledger import Expected
from ops.lab.simulation.fake import FakeStorage
from ops.lab.simulation.real import RealStorage
from ops.lab.simulation.sabotage import SABOTAGES, Sabotage
from ops.lab.simulation.schedule import Outcome, Schedule
from ops.lab.simulation.storage import Storage
from ops.local.redis_server import carried_server, find_server

CHUNK = 20
"""Schedules that a process does for one order."""

FAKE = "fakeredis"
SERVERS = {"redis": find_server, "carried-redis": carried_server}
"""The real servers: the machine's own if it has one, and that of the wheel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all schedules of a series have in common.

    Attributes:
        on: The storage: ``FAKE``, or a name in ``SERVERS``, or the path of a redis-server.
        sabotage: A name in ``SABOTAGES``; empty for none.
    """

    on: str = FAKE
    sabotage: str = ""

    def reproduction(self, seed: int) -> str:
        """Return the command that does the schedule of a seed again."""
        sabotage = f' --sabotage "{self.sabotage}"' if self.sabotage else ""
        return f".venv/bin/python -m ops.lab.simulation --seed {seed} --on {self.on}{sabotage}"


@dataclass(slots=True)
class Tally:
    """What came of some schedules.

    Attributes:
        schedules: How many there were.
        steps: How many those had.
        messages: How many messages had to be counted how often.
        faults: How many there were of each kind.
        bad: The outcomes that were not good.
    """

    schedules: int = 0
    steps: int = 0
    messages: Counter[Expected] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    bad: list[Outcome] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add those of another."""
        self.schedules += other.schedules
        self.steps += other.steps
        self.messages += other.messages
        self.faults += other.faults
        self.bad += other.bad

    @classmethod
    def of(cls, outcome: Outcome) -> "Tally":
        """Return that of one schedule."""
        bad = [] if outcome.is_good else [outcome]
        return cls(1, outcome.steps, outcome.messages, outcome.faults, bad)


@contextmanager
def storage_of(plan: Plan) -> Iterator[Storage]:
    """Open the storage of a plan."""
    with tempfile.TemporaryDirectory() as folder:
        storage: Storage
        if plan.on == FAKE:
            storage = FakeStorage()
        else:
            server = SERVERS[plan.on]() if plan.on in SERVERS else Path(plan.on)
            storage = RealStorage(server, Path(folder))
        try:
            yield storage
        finally:
            storage.close()


def outcomes_of(plan: Plan, seeds: Iterable[int]) -> Generator[Outcome]:
    """Do the schedules of seeds, one after the other."""
    with storage_of(plan) as storage:
        for seed in seeds:
            sabotage = SABOTAGES[plan.sabotage]() if plan.sabotage else Sabotage()
            yield Schedule(seed, storage, sabotage).run()


def tally_of(plan: Plan, seeds: Iterable[int]) -> Tally:
    """Do the schedules of seeds up to the first bad one; return what came of them."""
    tally = Tally()
    with closing(outcomes_of(plan, seeds)) as outcomes:
        for outcome in outcomes:
            tally.add(Tally.of(outcome))
            if tally.bad:
                break
    return tally


def tallies_of(plan: Plan, seeds: Iterable[int], jobs: int) -> Iterator[Tally]:
    """Do the schedules of seeds in several processes; yield a tally now and then.

    Args:
        plan: What they have in common.
        seeds: As many as are wanted; once one is bad, no more are begun.
        jobs: How many processes.
    """
    seeds = iter(seeds)
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), logging.disable, (logging.CRITICAL,)
    ) as pool:
        running: set[Future[Tally]] = set()
        is_bad = False
        while True:
            while len(running) < jobs and not is_bad and (chunk := list(islice(seeds, CHUNK))):
                running.add(pool.submit(tally_of, plan, chunk))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                tally = future.result()
                is_bad = is_bad or bool(tally.bad)
                yield tally


def report_of(plan: Plan, outcome: Outcome) -> str:
    """Return what is wrong with an outcome, and how to see it again."""
    lines: Sequence[object] = [
        f"seed {outcome.seed}: {len(outcome.complaints)} complaints, "
        f"{len(outcome.differences)} messages that were not counted as they must be",
        *outcome.complaints[:5],
        *outcome.differences[:10],
        f"REPRO: {plan.reproduction(outcome.seed)}",
    ]
    return "\n".join(map(str, lines))
