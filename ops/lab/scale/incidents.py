"""Incidents: a burst, a dead collector, a dead worker, a master that fails over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from ops.lab.scale.queueing import STEP_S, Conditions, Moment, Pipeline

RATE = 50_000.0
"""Messages per second, of ``CLIENTS`` apps: each with room for ``BUFFERED`` values."""

CLIENTS, BUFFERED = 200, 10_000

COLLECTORS, COLLECTOR_RATE = 3, 40_000.0
WORKERS, WORKER_RATE = 2, 55_000.0
"""Each can do so much: without one of them there is still enough, and twice as much with all."""

MASTERS = 3
CLAIM_S = 30.0
"""``METRICS_CLAIM_SECONDS``; a worker looks for what to claim every half of it."""

RESTART_S = 5.0
FIND_OUT_S = 0.5
"""How long a client's connection to a dead collector takes to fail; it tries the next at once."""

NODE_TIMEOUT_S = 5.0
"""``cluster-node-timeout``, in ``ops/deploy/redis/cluster.conf``."""

ELECTION_S = 1.5
"""From there until a replica is elected, and clients have learned of it."""

BEGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, and how the queues stood.

    Attributes:
        name: A word for file names.
        title: What happened.
        begin_s: When it began.
        end_s: When its cause was gone; the queues may take longer.
        moments: After each step.
    """

    name: str
    title: str
    begin_s: float
    end_s: float
    moments: Sequence[Moment]

    @property
    def well_again_s(self) -> float:
        """How long after its beginning nothing was older than a second, and stayed so."""
        late = [each.at_s for each in self.moments if each.waiting_age_s + each.backlog_age_s > 1]
        return max(late, default=self.begin_s) - self.begin_s


def incidents(seed: int) -> list[Incident]:
    """Return all incidents, the same for the same seed."""
    return [burst(seed), dead_collector(seed), dead_worker(seed), failover(seed)]


def burst(seed: int, *, factor: float = 10.0, seconds: float = 10.0) -> Incident:
    """Let apps record several times as much for some seconds."""

    def at(at_s: float) -> Conditions:
        more = factor if BEGIN_S <= at_s < BEGIN_S + seconds else 1.0
        return _well(arrivals=RATE * more)

    title = f"{factor:g} times the rate for {seconds:g} s"
    return _played("burst", title, BEGIN_S + seconds, 120, seed, at)


def dead_collector(seed: int) -> Incident:
    """Kill one of the collectors; its clients go to the others, and it starts again."""

    def at(at_s: float) -> Conditions:
        since = at_s - BEGIN_S
        if 0 <= since < FIND_OUT_S:  # its clients' batches wait; those of the others do not
            return _well(collect=RATE * (1 - 1 / COLLECTORS))
        alive = COLLECTORS - 1 if 0 <= since < RESTART_S else COLLECTORS
        return _well(collect=alive * COLLECTOR_RATE)

    return _played("dead-collector", "a collector is killed", BEGIN_S + RESTART_S, 30, seed, at)


def dead_worker(seed: int) -> Incident:
    """Kill one of the workers for good, with entries that it has read and not committed."""
    phase_s = Random(seed).uniform(0, CLAIM_S / 2)  # noqa: S311  (a simulation)
    looks = [phase_s + n * CLAIM_S / 2 for n in range(20)]
    claim_s = min(look for look in looks if look >= BEGIN_S + CLAIM_S)

    def at(at_s: float) -> Conditions:
        is_dead = at_s >= BEGIN_S
        return _well(
            fold=WORKER_RATE * (WORKERS - 1 if is_dead else WORKERS),
            seized=RATE * STEP_S if _is_now(at_s, BEGIN_S) else 0.0,
            is_claimed=_is_now(at_s, claim_s),
        )

    return _played(
        "dead-worker", "a worker is killed, and not started again", claim_s, 70, seed, at
    )


def failover(seed: int) -> Incident:
    """Let a master die; its partitions answer nobody until its replica takes over."""
    end_s = BEGIN_S + NODE_TIMEOUT_S + ELECTION_S

    def at(at_s: float) -> Conditions:
        return _well(is_away=BEGIN_S <= at_s < end_s)

    return _played("failover", "a master dies, and its replica takes over", end_s, 40, seed, at)


def _well(
    *,
    arrivals: float = RATE,
    collect: float = COLLECTORS * COLLECTOR_RATE,
    fold: float = WORKERS * WORKER_RATE,
    is_away: bool = False,
    seized: float = 0.0,
    is_claimed: bool = False,
) -> Conditions:
    return Conditions(arrivals, collect, fold, is_away, seized, is_claimed)


def _is_now(at_s: float, then_s: float) -> bool:
    return at_s <= then_s < at_s + STEP_S


def _played(
    name: str,
    title: str,
    end_s: float,
    seconds: float,
    seed: int,
    at: Callable[[float], Conditions],
) -> Incident:
    pipeline = Pipeline(
        buffer_max=CLIENTS * BUFFERED,
        random=Random(seed),  # noqa: S311  (a simulation)
        failing=1 / MASTERS,
    )
    moments = [pipeline.step(at(step * STEP_S)) for step in range(int(seconds / STEP_S))]
    return Incident(name, title, BEGIN_S, end_s, moments)
