"""One measurement: a load on a cluster, who did which part of the work, and how old it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from metrics.keyspace import partition_of
from ops.lab.bench.spread.node_work import NodeWork
from ops.lab.bench.spread.system import System
from ops.lab.bench.sustained.backlog_looks import LOOK_EVERY_S, Look, look_at
from ops.lab.bench.sustained.load import Load, Plan, Tick
from ops.lab.bench.sustained.repeated import Repeated


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it.

    Attributes:
        plan: The load.
        tick: What its sender told last.
        seconds: From the first message to the end of the backlog.
        nodes: What each node did in that time.
        messages: Messages appended to each partition.
        applied: Messages that were committed.
        looks: At the backlog.
        hot_partition: The partition of the first key, which may be a hot one.
    """

    plan: Plan
    tick: Tick
    seconds: float
    nodes: Sequence[NodeWork]
    messages: Sequence[int]
    applied: int
    looks: Sequence[Look]
    hot_partition: int

    @property
    def messages_per_s(self) -> float:
        """Messages that were counted, by the time that it took."""
        return self.applied / self.seconds

    @property
    def full_at_per_s(self) -> float:
        """Messages a second at which the busiest node would have a whole core to do."""
        return self.applied / max(max(node.cpu_s for node in self.nodes), 1e-9)

    def complaints(self) -> list[str]:
        """Return what is wrong: messages lost or counted twice, and answers none may get."""
        found = []
        if not self.tick.sent == self.tick.accepted == sum(self.messages) == self.applied:
            found.append(
                f"{self.plan.app}: sent {self.tick.sent} messages, accepted {self.tick.accepted}, "
                f"appended {sum(self.messages)}, counted {self.applied}"
            )
        if self.tick.errors:
            found.append(
                f"{self.plan.app}: {self.tick.broken} connections broke, and requests were "
                f"answered with {self.tick.statuses}"
            )
        return found


def measure(system: System, plan: Plan) -> Measured:
    """Put a load on a cluster; nobody else may use it.

    Args:
        system: It, with an empty backlog.
        plan: The load.
    """
    work_before, books_before = system.work(), system.audit()
    looking = partial(look_at, system.connection, system.partitions)
    with Load(plan) as load, Repeated(looking, LOOK_EVERY_S) as looks:
        ticks = load.ticks()
        last = next(ticks)
        begun = monotonic()
        for tick in ticks:
            last = tick
        found = looks.found()
    system.drain()
    seconds = monotonic() - begun
    pairs = list(zip(system.audit(), books_before, strict=True))
    return Measured(
        plan,
        last,
        seconds,
        [after.since(before) for after, before in zip(system.work(), work_before, strict=True)],
        [after.accepted - before.accepted for after, before in pairs],
        sum(after.applied - before.applied for after, before in pairs),
        found,
        partition_of(plan.key_names[0], system.partitions),
    )
