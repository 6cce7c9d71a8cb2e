"""A load on the system, and what it came to once all of it is counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, time

from metrics.audit import PartitionAudit
from metrics.connection import Connection, command, done
from metrics.keyspace import PartitionNames, partition_of
from ops.lab.bench.soak.nodes import NodeWork, work_of
from ops.lab.cpu import CpuUse, each_alone
from ops.lab.load.plan import Load, Plan, Tick
from ops.lab.system import System
from ops.lab.watching import watched

LOOK_EVERY_S = 0.2
QUERIES_PER_S = 5.0
"""As of people who look at their numbers."""


@dataclass(frozen=True, slots=True)
class BacklogSample:
    """What the partitions had at a moment, in the order of their numbers.

    Attributes:
        entries: How many.
        oldest_s: The age of the oldest, in seconds; 0 if there is none.
    """

    entries: tuple[int, ...]
    oldest_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What a load came to.

    Attributes:
        tick: What its sender said at last.
        queries: What came of the queries beside it.
        samples: Of the backlog.
        seconds: From the first request to the last answer.
        drain_s: How long the worker went on after that.
        applied: Messages that were committed until the last answer.
        shares: Process -> which part of one core it had.
        busy: Which part of all cores was used, 0 to 1, by whomever.
        nodes: What each node did, until the backlog was empty.
        appended: Messages that were appended to each partition.
        counted: Messages that the query service has.
        hot_partition: The partition of the first key, which may be a hot one.
    """

    tick: Tick
    queries: Tick
    samples: Sequence[BacklogSample]
    seconds: float
    drain_s: float
    applied: int
    shares: Mapping[str, float]
    busy: float
    nodes: Sequence[NodeWork]
    appended: Sequence[int]
    counted: int
    hot_partition: int

    @property
    def waiting(self) -> int:
        """Messages that were accepted and not committed at the last answer."""
        return max(self.tick.accepted - self.applied, 0)

    @property
    def behind_s(self) -> float:
        """How long these would take at the rate at which the others were worked off."""
        return self.waiting * self.seconds / max(self.applied, 1)

    def complaints(self) -> list[str]:
        """Return what is wrong: messages lost or too many, and answers that none may get."""
        found, appended = [], sum(self.appended)
        if len({self.tick.sent, self.tick.accepted, appended, self.counted}) > 1:
            found.append(
                f"sent {self.tick.sent} messages, accepted {self.tick.accepted}, "
                f"appended {appended}, counted {self.counted}"
            )
        for what, tick, fine in (
            ("requests", self.tick, {202, 503}),
            # At the beginning there may be no messages yet.
            ("queries", self.queries, {200, 404}),
        ):
            if wrong := {status: n for status, n in tick.statuses.items() if status not in fine}:
                found.append(f"{what} were answered with {wrong}")
        if not self.counted:
            found.append("no message was counted")
        return found


def soak(system: System, plan: Plan, sender: str, say: Callable[[Tick, Tick], None]) -> Soaked:
    """Put a load on the system, and count its messages; nobody else may use it.

    Args:
        system: The system, which is up and whose backlog is empty.
        plan: The load.
        sender: The module that sends it.
        say: Called at each tick but the first, with the one before and this one.
    """
    work_before, audit_before = work_of(system), system.balanced_audit()
    asking = Plan(
        port=system.query.port,
        paths=[f"/{key}/median/today/now" for key in plan.key_names],
        has_keys=False,
        messages_per_s=QUERIES_PER_S,
        connections=1,
        seconds=plan.seconds,
        tick_s=plan.seconds,
    )
    samples: list[BacklogSample] = []

    def look() -> None:
        samples.append(sample(system.connection, system.partitions))

    with watched(look, LOOK_EVERY_S), Load(plan, sender) as load, Load(asking) as queries:
        query = {"query": system.query.process.pid} if system.query.process else {}
        processes = each_alone({**system.processes, **query})
        ticks = load.ticks()
        tick = next(ticks)
        begin = CpuUse.of(processes)
        for following in ticks:
            say(tick, following)
            tick = following
        end = CpuUse.of(processes)
        applied = _since(audit_before, system, "applied")
        asked = queries.last()
    ended = monotonic()
    system.drain()
    drain_s = monotonic() - ended
    seconds = max(end.at - begin.at, 1e-9)
    used_s = {**end.seconds_since(begin), "sender": tick.cpu_s}
    return Soaked(
        tick=tick,
        queries=asked,
        samples=samples,
        seconds=seconds,
        drain_s=drain_s,
        applied=sum(applied),
        shares={name: cpu_s / seconds for name, cpu_s in used_s.items()},
        busy=end.busy_since(begin),
        nodes=[
            after.since(before) for after, before in zip(work_of(system), work_before, strict=True)
        ],
        appended=_since(audit_before, system, "accepted"),
        counted=system.counted(plan.key_names),
        hot_partition=partition_of(plan.key_names[0], len(system.partitions)),
    )


def sample(
    connection: Connection, partitions: Sequence[int], now: Callable[[], float] = time
) -> BacklogSample:
    """Return what the partitions have now.

    Args:
        connection: The way to Redis, which is on this machine: its clock is ours.
        partitions: Their numbers.
        now: That clock, Unix seconds.
    """
    names = [PartitionNames(number).stream for number in partitions]
    replies = connection.execute(
        [
            *(command("XLEN", name) for name in names),
            *(command("XRANGE", name, "-", "+", "COUNT", 1) for name in names),
        ]
    )
    lengths, firsts = map(done, replies[: len(names)]), map(done, replies[len(names) :])
    return BacklogSample(tuple(lengths), tuple(_age_s(first, now()) for first in firsts))


def _age_s(first: list[tuple[bytes, object]], now: float) -> float:
    if not first:
        return 0.0
    milliseconds, _, _ = first[0][0].partition(b"-")
    return max(now - int(milliseconds) / 1000, 0.0)


def _since(before: Sequence[PartitionAudit], system: System, name: str) -> list[int]:
    """Return how much a count of the audit has grown, by partition."""
    pairs = zip(system.balanced_audit(), before, strict=True)
    return [getattr(now, name) - getattr(then, name) for now, then in pairs]
