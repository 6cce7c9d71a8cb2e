"""Processes that are killed, asked to stop, or stalled while they hold entries."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic, sleep

from ops.lab.chaos.holding import Holdings
from ops.lab.chaos.system import CLAIM_S
from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.waiting import PAUSE_S, wait_until

AWAY_S = 0.5
"""How long a process that ended is away, at most."""

CLAIM_TIMEOUT_S = 10 * CLAIM_S + 10
REFUSAL_TIMEOUT_S = 2.0

_REFUSED = re.compile(r"^metrics_worker_commits_refused_total (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 at any moment."""

    processes: Sequence[Service]

    def inject(self, random: Random) -> str:
        """Kill one, and start it again."""
        process = random.choice(self.processes)
        sleep(random.uniform(0, AWAY_S))
        process.kill()
        sleep(random.uniform(0, AWAY_S))
        process.launch()
        return f"{process.label} killed"


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM under load, in the midst of a commit or a request."""

    processes: Sequence[Service]

    def inject(self, random: Random) -> str:
        """Let one end by itself, and start it again."""
        process = random.choice(self.processes)
        wait_until(process.is_alive, START_TIMEOUT_S, f"{process.label} answers")
        status = process.stop()
        if status != 0:
            raise RuntimeError(f"{process.label} ended with {status} when it was asked to stop")
        sleep(random.uniform(0, AWAY_S))
        process.launch()
        return f"{process.label} stopped"


@dataclass(frozen=True, slots=True)
class KillHolding:
    """kill -9 of a worker between its read and its commit, or in the midst of that."""

    workers: Sequence[Service]
    holdings: Holdings

    def inject(self, random: Random) -> str:
        """Kill one that holds entries, and start it again."""
        worker = random.choice(self.workers)
        entries = self.holdings.stop_holder(worker, random)
        worker.kill()
        sleep(random.uniform(0, AWAY_S))
        worker.launch()
        return f"{worker.label} killed with {entries} entries"


@dataclass(frozen=True, slots=True)
class Stall:
    """A worker that stops past the claim time, and wakes up with entries that others have taken."""

    workers: Sequence[Service]
    holdings: Holdings

    def inject(self, random: Random) -> str:
        """Stall one that holds entries until others have them, and see whether it is refused."""
        worker = random.choice(self.workers)
        wait_until(worker.is_alive, START_TIMEOUT_S, f"{worker.label} answers")
        before = _refusals(worker)
        entries = self.holdings.stop_holder(worker, random)
        try:
            wait_until(
                lambda: not self.holdings.of(worker),
                CLAIM_TIMEOUT_S,
                f"others take over what {worker.label} holds",
            )
        finally:
            worker.send(signal.SIGCONT)
        return (
            f"{worker.label} stalled with {entries} entries; "
            f"{_refusals_after(before, worker)} of its commits refused"
        )


def _refusals(worker: Service) -> int:
    found = _REFUSED.search(worker.get("/metrics").body.decode())
    return int(found[1]) if found else 0


def _refusals_after(before: int, worker: Service) -> int:
    """Return how often a worker was refused since, once it was or some time is over.

    It need not be: it may have been stopped while it went through what it holds since earlier.
    """
    give_up = monotonic() + REFUSAL_TIMEOUT_S
    while (refusals := _refusals(worker) - before) == 0 and monotonic() < give_up:
        sleep(PAUSE_S)
    return refusals
