"""Processes that are killed, asked to stop, or stalled while they hold entries."""

import re
import signal
from collections.abc import Sequence
from random import Random
from time import sleep

from ops.lab.chaos.holding import Holdings
from ops.lab.chaos.system import CLAIM_S
from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.waiting import wait_until

AWAY_S = 0.5
"""How long a process that ended is away, at most."""

CLAIM_TIMEOUT_S = 10 * CLAIM_S + 10
REFUSAL_TIMEOUT_S = 2.0

_REFUSED = re.compile(r"^metrics_worker_commits_refused_total (\d+)", re.MULTILINE)


def kill(processes: Sequence[Service], random: Random) -> str:
    """kill -9 one at any moment, and start it again."""  # noqa: D403
    process = random.choice(processes)
    sleep(random.uniform(0, AWAY_S))
    process.kill()
    sleep(random.uniform(0, AWAY_S))
    process.launch()
    return f"{process.label} killed"


def kill_and_wait(processes: Sequence[Service], random: Random) -> str:
    """Kill one, start it again and wait until it is back: the others are there meanwhile."""
    done = kill(processes, random)
    for process in processes:
        process.wait_until_ready(START_TIMEOUT_S)
    return done


def kill_all(processes: Sequence[Service], seconds: float, random: Random) -> str:
    """Kill all of them, and start them again after so long."""
    del random
    for process in processes:
        process.kill()
    sleep(seconds)
    for process in processes:
        process.launch()
    for process in processes:
        process.wait_until_ready(START_TIMEOUT_S)
    return f"all {len(processes)} were away for {seconds:g} s"


def terminate(processes: Sequence[Service], random: Random) -> str:
    """SIGTERM one under load, in the midst of a commit or a request, and start it again."""
    process = random.choice(processes)
    wait_until(process.is_alive, START_TIMEOUT_S, f"{process.label} answers")
    status = process.stop()
    if status != 0:
        raise RuntimeError(f"{process.label} ended with {status} when it was asked to stop")
    sleep(random.uniform(0, AWAY_S))
    process.launch()
    return f"{process.label} stopped"


def kill_holding(workers: Sequence[Service], holdings: Holdings, random: Random) -> str:
    """Kill a worker that holds entries: between its read and its commit, or in the midst of it."""
    worker = random.choice(workers)
    entries = holdings.stop_holder(worker, random)
    worker.kill()
    sleep(random.uniform(0, AWAY_S))
    worker.launch()
    return f"{worker.label} killed with {entries} entries"


def stall(workers: Sequence[Service], holdings: Holdings, random: Random) -> str:
    """Stall a worker until others have what it holds, wake it up, and see whether it is refused."""
    worker = random.choice(workers)
    wait_until(worker.is_alive, START_TIMEOUT_S, f"{worker.label} answers")
    before = _refusals(worker)
    entries = holdings.stop_holder(worker, random)
    try:
        wait_until(
            lambda: not holdings.of(worker),
            CLAIM_TIMEOUT_S,
            f"others take over what {worker.label} holds",
        )
    finally:
        worker.send(signal.SIGCONT)
    refused = _refusals_after(before, worker)
    return f"{worker.label} stalled with {entries} entries; {refused} of its commits refused"


def _refusals(worker: Service) -> int:
    found = _REFUSED.search(worker.get("/metrics").body.decode())
    return int(found[1]) if found else 0


def _refusals_after(before: int, worker: Service) -> int:
    """Return how often a worker was refused since, once it was or some time is over.

    It need not be: it may have been stopped while it went through what it holds since earlier.
    """
    try:
        return wait_until(lambda: _refusals(worker) - before, REFUSAL_TIMEOUT_S)
    except TimeoutError:
        return 0
