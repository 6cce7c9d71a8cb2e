"""Incidents: a burst, a dead collector, a dead worker, a master that fails over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops.lab.scale.queueing import STEP_S, Curve, Flow

RATE = 50_000.0
"""Messages per second, of ``CLIENTS`` apps: each with room for ``BUFFERED`` values."""

CLIENTS, BUFFERED = 200, 10_000

COLLECTORS, COLLECTOR_RATE = 3, 40_000.0
WORKERS, WORKER_RATE = 2, 55_000.0
"""Each can do so much: without one of them there is still enough, and twice as much with all."""

COLLECT, FOLD = COLLECTORS * COLLECTOR_RATE, WORKERS * WORKER_RATE

MASTERS = 3
CLAIM_S = 30.0
"""``METRICS_CLAIM_SECONDS``; a worker looks for what to claim every half of it."""

CLAIMED_AFTER_S = 1.25 * CLAIM_S
"""On average."""

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
    """What happened, and how the queues stood after each step.

    Attributes:
        name: A word for file names.
        title: What happened.
        end_s: When its cause was gone, which began at ``BEGIN_S``; the queues may take longer.
        flows: What became of the messages.
    """

    name: str
    title: str
    end_s: float
    flows: Sequence[Flow]

    @property
    def at_s(self) -> Curve:
        """When each step ended."""
        at_s: Curve = np.arange(1.0, len(self.flows[0].recorded) + 1) * STEP_S
        return at_s

    @property
    def waiting(self) -> Curve:
        """Messages in the clients' buffers."""
        return _joined(np.add, [flow.waiting for flow in self.flows])

    @property
    def waiting_age_s(self) -> Curve:
        """Age of the oldest of these."""
        return _joined(np.maximum, [flow.waiting_age_s for flow in self.flows])

    @property
    def backlog(self) -> Curve:
        """Messages appended and not committed."""
        return _joined(np.add, [flow.backlog for flow in self.flows])

    @property
    def backlog_age_s(self) -> Curve:
        """Age of the oldest of these, since it was appended."""
        return _joined(np.maximum, [flow.backlog_age_s for flow in self.flows])

    @property
    def dropped(self) -> float:
        """Messages that clients dropped."""
        return sum(float(flow.dropped[-1]) for flow in self.flows)

    @property
    def well_again_s(self) -> float:
        """How long after its beginning nothing was older than a second, and stayed so."""
        late_s = self.at_s[self.waiting_age_s + self.backlog_age_s > 1]
        return float(late_s.max(initial=BEGIN_S)) - BEGIN_S


def incidents() -> list[Incident]:
    """Return all incidents."""
    return [burst(), dead_collector(), dead_worker(), failover()]


def burst(*, factor: float = 10.0, seconds: float = 10.0) -> Incident:
    """Let apps record several times as much for some seconds."""
    end_s = BEGIN_S + seconds
    arrivals = _always(RATE, 120)
    arrivals[_during(BEGIN_S, end_s)] *= factor
    title = f"{factor:g} times the rate for {seconds:g} s"
    return Incident("burst", title, end_s, [_flow(arrivals)])


def dead_collector() -> Incident:
    """Kill one of the collectors; its clients go to the others, and it starts again."""
    end_s = BEGIN_S + RESTART_S
    collect = _always(COLLECT, 30)
    collect[_during(BEGIN_S, end_s)] -= COLLECTOR_RATE
    # Its clients' batches wait; those of the others do not.
    collect[_during(BEGIN_S, BEGIN_S + FIND_OUT_S)] = RATE * (1 - 1 / COLLECTORS)
    flow = _flow(_always(RATE, 30), collect=collect)
    return Incident("dead-collector", "a collector is killed", end_s, [flow])


def dead_worker() -> Incident:
    """Kill one of the workers for good, with the entries of a step, read and not committed."""
    end_s = BEGIN_S + CLAIMED_AFTER_S
    read = np.zeros(len(_always(0.0, 70)))
    read[_during(BEGIN_S, BEGIN_S + STEP_S)] = RATE
    left = _always(FOLD, 70)
    left[_during(BEGIN_S, 70)] = FOLD - WORKER_RATE
    claimed = left.copy()
    claimed[_during(BEGIN_S, end_s)] = 0.0
    flows = [_flow(_always(RATE, 70) - read, fold=left), _flow(read, fold=claimed)]
    return Incident("dead-worker", "a worker is killed, and not started again", end_s, flows)


def failover() -> Incident:
    """Let a master die; its partitions answer nobody until its replica takes over."""
    end_s = BEGIN_S + NODE_TIMEOUT_S + ELECTION_S
    of_others = RATE * (1 - 1 / MASTERS)
    # What the others leave of all that can be done is for those that have waited.
    collect, fold = _always(COLLECT - of_others, 40), _always(FOLD - of_others, 40)
    for capacity in (collect, fold):
        capacity[_during(BEGIN_S, end_s)] = 0.0
    flows = [
        _flow(_always(of_others, 40)),
        _flow(_always(RATE - of_others, 40), collect=collect, fold=fold),
    ]
    return Incident("failover", "a master dies, and its replica takes over", end_s, flows)


def _flow(arrivals: Curve, *, collect: Curve | None = None, fold: Curve | None = None) -> Flow:
    """Return a flow with all collectors and workers, if nothing else is said."""
    seconds = len(arrivals) * STEP_S
    return Flow.of(
        arrivals,
        _always(COLLECT, seconds) if collect is None else collect,
        _always(FOLD, seconds) if fold is None else fold,
        room=CLIENTS * BUFFERED,
    )


def _joined(how: np.ufunc, curves: Sequence[Curve]) -> Curve:
    joined: Curve = how.reduce(curves)
    return joined


def _always(messages_per_s: float, seconds: float) -> Curve:
    return np.full(round(seconds / STEP_S), messages_per_s)


def _during(begin_s: float, end_s: float) -> slice:
    return slice(round(begin_s / STEP_S), round(end_s / STEP_S))
