"""What Redis needs for a key-hour, and for a message of the backlog."""

from dataclasses import dataclass
from pathlib import Path

from metrics.connection import command
from metrics.keyspace import PartitionNames
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.queries import write_hour
from ops.lab.bench.ingest.workload import GOALS, Workload
from ops.lab.bench.ingest.wrk import load

SIGMAS = (0.5, 1.0)
MESSAGES = (1_000, 100_000, 3_600_000)
KEY_HOURS = 1000 * 30 * 24
"""Of a thousand app instances in a month."""

LOAD_S = 1.0


@dataclass(frozen=True, slots=True)
class KeyHourSize:
    """What a key-hour takes.

    Attributes:
        sigma: Of its lognormal response times.
        messages: How many it has.
        size_bytes: As ``MEMORY USAGE`` tells, name and all.
    """

    sigma: float
    messages: int
    size_bytes: int

    def __str__(self) -> str:
        gigabytes = self.size_bytes * KEY_HOURS / 1e9
        return (
            f"a key-hour of {self.messages:,} messages, lognormal with sigma {self.sigma}: "
            f"{self.size_bytes:,} bytes; 1,000 keys in 30 days: {gigabytes:.2f} GB"
        )


@dataclass(frozen=True, slots=True)
class MessageSize:
    """What a message takes while it waits.

    Attributes:
        workload: How it was sent.
        size_bytes: Of it in its stream, on average.
    """

    workload: Workload
    size_bytes: float

    def __str__(self) -> str:
        return (
            f"a message of the backlog, sent as {self.workload.name}: {self.size_bytes:.1f} bytes"
        )


def of_key_hours(ours: Ours) -> list[KeyHourSize]:
    """Measure key-hours of different spreads and sizes."""
    found = []
    for sigma in SIGMAS:
        for messages in MESSAGES:
            name = write_hour(ours, f"size-{messages}-{sigma}", messages, sigma)
            found.append(KeyHourSize(sigma, messages, _usage(ours, name)))
    return found


def of_messages(ours: Ours, folder: Path) -> list[MessageSize]:
    """Measure what messages take while no worker runs; then let one fold them.

    Args:
        ours: The system, which is up.
        folder: Where bodies are put for a while.
    """
    ours.drain()
    ours.worker.stop()
    found = []
    for workload in GOALS:
        accepted, used = ours.accepted(), _streams(ours)
        load(ours.port, workload, ours.forms[workload.shape][0], LOAD_S, folder)
        more = _streams(ours) - used
        found.append(MessageSize(workload, more / (ours.accepted() - accepted)))
    ours.worker.start()
    ours.drain()
    return found


def _streams(ours: Ours) -> int:
    return sum(_usage(ours, PartitionNames(number).stream) for number in range(ours.partitions))


def _usage(ours: Ours, name: str) -> int:
    used: int | None = ours.connection.ask(command("MEMORY", "USAGE", name, "SAMPLES", 0, key=name))
    return used or 0
