"""The meter: what is known at a tick, and what happened between two of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.sustained.backlog_looks import Look
from ops.lab.bench.sustained.cores import Used, each_alone
from ops.lab.bench.sustained.load import Load, Tick
from ops.lab.bench.sustained.queries import Asked
from ops.lab.bench.sustained.repeated import Repeated
from ops.lab.bench.sustained.span import Span
from ops.lab.latencies import Latencies


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known at a tick; all counts are since the beginning.

    Attributes:
        tick: What the sender tells.
        used: What cores were used.
        counted: Messages that were committed.
        memory_bytes: What Redis uses.
        looks: At the backlog.
        asked: The queries.
    """

    tick: Tick
    used: Used
    counted: int
    memory_bytes: int
    looks: Sequence[Look]
    asked: Sequence[Asked]


class Meter:
    """Reads what a load does to the system.

    Args:
        ours: The system, which is up.
        load: The load on it.
        looks: At the backlog, beside it.
        asked: The queries, beside it.
    """

    def __init__(
        self, ours: Ours, load: Load, looks: Repeated[Look], asked: Repeated[Asked]
    ) -> None:
        self._ours = ours
        self._looks = looks
        self._asked = asked
        started = dict(ours.processes)
        if ours.query.process is not None:
            started["query"] = ours.query.process.pid
        self._processes = {**each_alone(started), "sender": load.pid}

    def read(self, tick: Tick) -> Reading:
        """Return what is known now.

        Raises:
            RuntimeError: If the audit does not balance.
        """
        with self._ours.redis.client() as client:
            memory_bytes = client.info("memory")["used_memory"]
        return Reading(
            tick,
            Used.by(self._processes),
            self._ours.audit()["messages"]["applied"],
            memory_bytes,
            self._looks.found(),
            self._asked.found(),
        )


def between(begin: Reading, end: Reading) -> Span:
    """Return what happened between two readings; the later one's latencies are of that time."""
    looks = end.looks[len(begin.looks) :]
    asked = end.asked[len(begin.asked) :]
    answered_ns = [each.took_ns for each in asked if each.is_answer]
    return Span(
        seconds=end.used.at - begin.used.at,
        due=end.tick.due - begin.tick.due,
        sent=end.tick.sent - begin.tick.sent,
        accepted=end.tick.accepted - begin.tick.accepted,
        counted=end.counted - begin.counted,
        waiting=max(end.tick.accepted - end.counted, 0),
        depths=[sum(look.entries) for look in looks],
        oldest_s=[max(look.oldest_s) for look in looks],
        post=end.tick.latencies,
        query=Latencies.of(answered_ns) if answered_ns else None,
        shares=end.used.shares_since(begin.used),
        busy=end.used.busy_since(begin.used),
        cores=os.cpu_count() or 1,
        memory_bytes=end.memory_bytes,
        errors=end.tick.errors - begin.tick.errors + sum(not each.is_answer for each in asked),
    )
