"""One schedule: some processes, their faults and the checks, all of it from one seed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random

from metrics.errors import MetricsError
from metrics.hours import Hour
from metrics.keyspace import LAYOUT
from metrics.layout import fields_of
from metrics.node import Command, Reply
from metrics.settings import Settings
from ops.lab.ledger import Difference, Expected, Ledger
from ops.lab.simulation import spoilt
from ops.lab.simulation.checks import Checks, Hashes
from ops.lab.simulation.client import HOURS, Client
from ops.lab.simulation.collector import Collector
from ops.lab.simulation.events import Events
from ops.lab.simulation.faults import PROCESSES, Faults
from ops.lab.simulation.node import Wire
from ops.lab.simulation.processes import Scheduler
from ops.lab.simulation.sabotage import Sabotage
from ops.lab.simulation.storage import Storage
from ops.lab.simulation.trace import Record
from ops.lab.simulation.worker import Worker

PARTITIONS = 2
STEPS = (50, 200)
"""Steps with faults, at least and at most. A round trip takes two."""

USED_SHARE = 0.9
"""How often others have used Redis before, and agreed on its layout."""

CALM_STEPS_MAX = 4000
"""Steps without faults, in which all clients must get their answers."""

DRAIN_ROUNDS_MAX = 40
"""Rounds of one worker, in which it must empty the streams."""

ROUNDS_AFTER = 2
"""Rounds of another worker after that, in which nothing may change."""

RETRIED_SHARE = 0.5
"""How often all dead letters are retried then, and what is in the streams is committed again."""

LOOKED_AFTER_SHARE = 0.25
"""How often that is looked at, after a restart of Redis."""

HOUR_BEGINS = Hour.parse("2026-11-23T15").start
BEFORE_S_MAX = 90.0
"""Schedules begin so long before a new hour, at most."""

STEP_S = 1.0
"""A schedule takes a few minutes: long for a claim, short for the dedupe window."""

CONSTANCIES = (0.0, 0.5, 0.9)
AHEAD_S_MAX = 180.0
"""How far a collector's clock is off, in either direction."""

CLAIM_SECONDS = (1, 10, 30)
CONSUMERS = (("worker-1", "worker-2"), ("worker-1", "worker-2"), ("worker-1", "worker-1"))
"""Of the workers. Two processes with one name are a mistake that must do no harm."""

CLIENTS = 3
WITH_KEYS_SHARE = 0.6
"""How many clients send Idempotency-Keys, and repeat."""

LATE_SHARE = 0.05
"""How often something arrives that was held back, a step."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a schedule.

    Attributes:
        seed: What it was made from.
        steps: How many it had.
        messages: How many messages must be counted how often.
        faults: How many there were of each kind.
        complaints: What was not as it must be.
        differences: Messages that were not counted as often as they must be.
        records: What happened, in its order.
    """

    seed: int
    steps: int
    messages: Counter[Expected]
    faults: Counter[str]
    complaints: list[str]
    differences: list[Difference]
    records: list[Record]

    @property
    def is_good(self) -> bool:
        """Whether all was as it must be."""
        return not self.complaints and not self.differences


class Schedule:
    """The processes of one seed, and what happens to them.

    Redis is emptied first.

    Args:
        seed: Decides everything.
        storage: Redis.
        sabotage: What is taken away of the product.
    """

    def __init__(self, seed: int, storage: Storage, sabotage: Sabotage) -> None:
        self._seed = seed
        self._random = random = Random(seed)  # noqa: S311  (nothing is secret here)
        self._storage = storage
        self._complaints: list[str] = []
        self._records: list[Record] = []
        self._ledger = Ledger()
        self._scheduler = Scheduler(
            random,
            now=HOUR_BEGINS - random.uniform(0, BEFORE_S_MAX),
            step_s=STEP_S,
            constancy=random.choice(CONSTANCIES),
        )
        storage.reset(lambda: self._scheduler.now, self._ledger.position)
        self._checks = Checks(storage, self._ledger, partitions=PARTITIONS, complain=self._complain)
        self._faults = Faults(random, {**PROCESSES, **storage.events})
        self._wire = Wire(
            storage,
            scheduler=self._scheduler,
            faults=self._faults,
            sabotage=sabotage,
            saw=self._saw,
        )
        self._settings = Settings.from_env(
            {
                "REDIS_URL": "redis://simulated",
                "METRICS_PARTITIONS": str(PARTITIONS),
                "METRICS_CLAIM_SECONDS": str(random.choice(CLAIM_SECONDS)),
                # A real Redis lets keys expire by the true time, and that may be any.
                "METRICS_RETENTION_DAYS": "36500",
            }
        )
        collectors = [self._collector("collector-1"), self._collector("collector-2")]
        workers = [
            self._worker(f"process-{i}", consumer)
            for i, consumer in enumerate(random.choice(CONSUMERS), 1)
        ]
        self._clients = [
            self._client(f"client-{i}", collectors, random.random() < WITH_KEYS_SHARE)
            for i in range(1, CLIENTS + 1)
        ]
        self._events = Events(
            storage,
            self._wire,
            self._ledger,
            self._checks,
            partitions=PARTITIONS,
            processes=[*collectors, *workers],
            hours=sorted(HOURS),
        )

    def run(self) -> Outcome:
        """Let everything happen, and come to rest; return what came of it."""
        if self._random.random() < USED_SHARE:
            fields = fields_of(PARTITIONS)
            self._storage.execute(("HSET", LAYOUT, *chain.from_iterable(fields.items())))
        for process in self._scheduler.processes:
            process.boot()
        for _ in range(self._random.randint(*STEPS)):
            self._step()
        self._calm_down()
        differences = self._checks.in_the_end(self._drained())
        return Outcome(
            seed=self._seed,
            steps=self._scheduler.steps,
            messages=self._ledger.counts(),
            faults=self._faults.seen,
            complaints=self._complaints,
            differences=differences,
            records=self._records,
        )

    def _step(self) -> None:
        self._events.replicate()
        kind = self._faults.of_step()
        if kind:
            self._records.append(Record(self._scheduler.steps, "fault", (kind,)))
            self._events.happen(kind)
        if self._random.random() < LATE_SHARE:
            self._wire.bring_late()
        process = self._scheduler.step()
        if process is not None and process.is_crashed:
            if process.failure:
                self._complain(f"{process.name} failed: {process.failure}")
            self._events.restart(process)

    def _calm_down(self) -> None:
        """Let all clients get their answers, now that nothing is lost any more."""
        self._faults.stop()
        for process in self._scheduler.processes:
            process.stopped_until = 0
        for client in self._clients:
            client.is_leaving = True
        give_up = self._scheduler.steps + CALM_STEPS_MAX
        while not all(client.is_done for client in self._clients):
            self._step()
            if self._scheduler.steps > give_up:
                self._complain(f"no answers within {CALM_STEPS_MAX} calm steps")
                break
        while self._wire.bring_late():
            pass
        for process in self._scheduler.processes:
            process.kill()

    def _drained(self) -> Hashes:
        """Let a new worker commit all there is.

        Returns:
            The hashes of all key-hours.
        """
        rounds = self._rounds_of("heir-1")
        self._drain(rounds)
        if self._random.random() < RETRIED_SHARE:
            self._events.retry_dead_letters()
            self._drain(rounds)
        hashes = self._checks.hashes()
        if self._random.random() < LOOKED_AFTER_SHARE:
            self._look_after(hashes)
        return hashes

    def _drain(self, rounds: Iterator[None]) -> None:
        for _ in range(DRAIN_ROUNDS_MAX):
            next(rounds)
            if self._checks.is_drained():
                return

    def _look_after(self, hashes: Hashes) -> None:
        """See that neither a restart of Redis nor another worker changes anything."""
        self._storage.restart()
        rounds = self._rounds_of("heir-2")
        for _ in range(ROUNDS_AFTER):
            next(rounds)
        if self._checks.hashes() != hashes:
            self._complain("another worker, or a restart of Redis, changes what was counted")

    def _rounds_of(self, consumer: str) -> Iterator[None]:
        aggregator = self._worker(consumer, consumer).aggregator()
        while True:
            self._scheduler.now += self._settings.claim_seconds
            try:
                aggregator.run_once()
            except MetricsError as error:
                self._complain(f"{consumer} cannot go on: {error}")
            yield

    def _collector(self, name: str) -> Collector:
        ahead_s = self._random.uniform(-AHEAD_S_MAX, AHEAD_S_MAX)
        return Collector(name, self._wire, self._settings, ahead_s=ahead_s)

    def _worker(self, name: str, consumer: str) -> Worker:
        return Worker(name, self._wire, self._settings, consumer=consumer)

    def _client(self, name: str, collectors: list[Collector], has_keys: bool) -> Client:
        return Client(
            name,
            self._wire,
            self._ledger,
            collectors,
            has_keys=has_keys,
            spoilt_keys=spoilt.keys_of(PARTITIONS),
            expect=self._checks.expect,
            complain=self._complain,
        )

    def _saw(self, sender: str, command: Command, reply: Reply) -> None:
        self._records.append(Record(self._scheduler.steps, sender, command, reply))
        self._checks.after(command)

    def _complain(self, text: str) -> None:
        self._complaints.append(text)
        self._records.append(Record(self._scheduler.steps, "complaint", (text,)))
