"""One measurement: a workload on a system, and whether all of it was counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from ops.lab.bench.ingest.databases import Database
from ops.lab.bench.ingest.systems import Ours
from ops.lab.bench.ingest.workload import Form, Workload
from ops.lab.bench.ingest.wrk import WrkResult, send
from ops.lab.cpu import CpuUse


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of it.

    Attributes:
        system: Which.
        workload: What was sent.
        form: The name of the form it was written in.
        load: What wrk saw.
        drain_s: How long work went on after the load.
        cpu_s: CPU seconds of each process, load and drain together, and of wrk.
        accepted: Messages that the system says it took; 0 if it does not say.
        counted: Messages that a query finds.
    """

    system: str
    workload: Workload
    form: str
    load: WrkResult
    drain_s: float
    cpu_s: Mapping[str, float]
    accepted: int
    counted: int

    @property
    def answered(self) -> int:
        """Messages in the requests that were answered."""
        return self.load.requests * self.workload.batch

    @property
    def messages_per_s(self) -> float:
        """Messages answered, by the time until the last of them was worked off."""
        return self.answered / (self.load.seconds + self.drain_s)

    def complaints(self) -> list[str]:
        """Return what is wrong with it: errors, messages lost, messages too many.

        When wrk stops, a request on each connection may be under way: its messages may be there.
        """
        what = f"{self.system}, {self.workload.name} as {self.form}"
        found = []
        if self.load.errors:
            found.append(f"{what}: {self.load.errors} errors")
        if not self.answered:
            found.append(f"{what}: no request was answered")
        if self.accepted and self.accepted != self.counted:
            found.append(f"{what}: accepted {self.accepted} messages, counted {self.counted}")
        under_way = self.workload.connections * self.workload.batch
        if not self.answered <= self.counted <= self.answered + under_way:
            found.append(f"{what}: answered {self.answered} messages, counted {self.counted}")
        return found


def measure(system: Ours | Database, workload: Workload, form: Form, seconds: float) -> Run:
    """Measure a workload in one form; nobody must have sent any of its keys before.

    Args:
        system: A system that is up.
        workload: What to send.
        form: How to write it.
        seconds: Of load.
    """
    accepted_before, used_before = system.accepted(), CpuUse.of(system.processes)
    load = send(system.port, workload, form, seconds)
    ended = monotonic()
    system.drain()
    drain_s = monotonic() - ended
    used = CpuUse.of(system.processes)
    return Run(
        system.name,
        workload,
        form.name,
        load,
        drain_s,
        {**used.seconds_since(used_before), "wrk": load.cpu_s},
        system.accepted() - accepted_before,
        system.counted(workload.keys(form), at_least=load.requests * workload.batch),
    )
