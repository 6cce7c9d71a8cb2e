"""One measurement: a workload on a system, and whether all of it was counted."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ops.lab.bench.ingest.bodies import Form
from ops.lab.bench.ingest.cpu import cpu_seconds
from ops.lab.bench.ingest.system import System
from ops.lab.bench.ingest.workload import Workload
from ops.lab.bench.ingest.wrk import Load, load


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of it.

    Attributes:
        system: Which.
        workload: What was sent.
        form: The name of the form it was written in.
        load: What wrk saw.
        drain_s: How long work went on after the load.
        cpu_s: CPU seconds of each process, load and drain together.
        accepted: Messages that the system says it took; 0 if it does not say.
        counted: Messages that a query finds.
    """

    system: str
    workload: Workload
    form: str
    load: Load
    drain_s: float
    cpu_s: dict[str, float]
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

    def cpu_per_million(self) -> dict[str, float]:
        """Return CPU seconds per million messages of each process, and of wrk."""
        used = {**self.cpu_s, "wrk": self.load.cpu_s}
        return {name: cpu_s * 1e6 / max(self.answered, 1) for name, cpu_s in used.items()}

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


def measure(system: System, workload: Workload, form: Form, seconds: float, folder: Path) -> Run:
    """Measure a workload in one form; nobody must have sent any of its keys before.

    Args:
        system: A system that is up.
        workload: What to send.
        form: How to write it.
        seconds: Of load.
        folder: Where bodies are put for a while.
    """
    accepted_before = system.accepted()
    cpu_before = cpu_seconds(system.processes)
    found = load(system.port, workload, form, seconds, folder)
    ended = monotonic()
    system.drain()
    drain_s = monotonic() - ended
    cpu = cpu_seconds(system.processes)
    accepted = system.accepted() - accepted_before
    return Run(
        system.name,
        workload,
        form.name,
        found,
        drain_s,
        {name: cpu_s - cpu_before[name] for name, cpu_s in cpu.items()},
        accepted,
        system.counted(workload.keys(form), at_least=found.requests * workload.batch),
    )
