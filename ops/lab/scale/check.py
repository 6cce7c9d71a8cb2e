"""Is the model right? Components and the whole are measured in turns, and compared.

Nothing of the whole goes into the prediction: collectors are measured one at a time and without a
worker, the worker's code and Redis without a collector. What the model adds is how much of each a
message needs when all of them share the cores. The machine is as fast in both only on average, so
the rounds alternate and their medians are compared. Cores that others have during a run are taken
off those of the machine: the prediction is of what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ops.lab.bench.ingest.measure import measure as measure_run
from ops.lab.bench.ingest.systems import folders, ours
from ops.lab.cpu import CpuUse
from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.components.collector import PROCESSES, SENT_BY_WRK
from ops.lab.scale.figures import Figures
from ops.lab.scale.hardware import THIS_MACHINE
from ops.lab.scale.limits import Limit, limits
from ops.lab.scale.measure import measure
from ops.lab.scale.traffic import Traffic, Way

DEVIATION_MAX = 0.25
WAYS: tuple[Way, ...] = ("columns", "single")
"""Client batches as the benchmark sends them, and single messages."""

_KEYS = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """A prediction and what came of it.

    Attributes:
        way: How messages were sent.
        predicted: Messages per second, a round each.
        part: What should break first.
        measured: Messages per second, from POST to counted, a round each.
    """

    way: Way
    predicted: Sequence[float]
    part: str
    measured: Sequence[float]

    @property
    def deviation(self) -> float:
        """By how much of the measured rate the prediction is too high."""
        return median(self.predicted) / median(self.measured) - 1

    @property
    def is_right(self) -> bool:
        """Whether it is near enough."""
        return abs(self.deviation) <= DEVIATION_MAX

    def __str__(self) -> str:
        rounds = ", ".join(
            f"{was / real - 1:+.0%}"
            for was, real in zip(self.predicted, self.measured, strict=True)
        )
        return (
            f"{self.way}: predicted {median(self.predicted):,.0f} messages/s ({self.part} first), "
            f"measured {median(self.measured):,.0f}: {self.deviation:+.0%} (rounds: {rounds})"
        )


def check(rounds: int, seconds: float) -> list[Compared]:
    """Measure components and the whole in turns.

    Raises:
        RuntimeError: If a run lost messages or counted some twice.
    """
    predicted: dict[Way, list[float]] = {way: [] for way in WAYS}
    measured: dict[Way, list[float]] = {way: [] for way in WAYS}
    parts: dict[Way, str] = {}
    for _ in range(rounds):
        figures = measure(seconds, WAYS)
        for way in WAYS:
            rate, others_cores = _run(way, seconds)
            first = predict(way, figures, others_cores)
            predicted[way].append(first.rate)
            measured[way].append(rate)
            parts[way] = first.part
            print(f"{way}: {rate:,.0f} messages/s while others had {others_cores:.2f} cores")
    return [Compared(way, predicted[way], parts[way], measured[way]) for way in WAYS]


def predict(way: Way, figures: Figures, others_cores: float = 0.0) -> Limit:
    """Return the highest rate on the machine that the figures are of, and what breaks above it."""
    assumed = Assumptions(queries_per_s=0.0, outage_s=0.0, patience_s=0.0)
    left = replace(THIS_MACHINE, cores=THIS_MACHINE.cores - others_cores)
    return limits(Traffic(1.0, _KEYS, way), left, figures, assumed)[0]


def _run(way: Way, seconds: float) -> tuple[float, float]:
    """Return the messages per second of a real run, and the cores that others had meanwhile."""
    workload = SENT_BY_WRK[way]
    with folders() as (data, _), ours(data, collectors=PROCESSES) as system:
        begin = CpuUse.of({})
        run = measure_run(system, workload, system.forms[workload.shape][0], seconds)
        others_cores = CpuUse.of({}).others_since(begin, sum(run.cpu_s.values()))
    if run.complaints():
        raise RuntimeError("; ".join(run.complaints()))
    return run.messages_per_s, others_cores
