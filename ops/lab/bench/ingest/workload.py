"""The workloads: how many messages a request has, how they lie, and over how many connections."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ops.lab.bench.ingest.bodies import Form
from ops.lab.bench.ingest.messages import column, keys_of, rows

Shape = Literal["rows", "columns", "single"]

BODIES = 20
BODIES_OF_ONE = 1000
"""Different bodies, sent in turns; both are multiples of the number of keys."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent.

    Attributes:
        name: What it is called.
        shape: How messages lie in a body.
        batch: Messages in a body.
        connections: That send at the same time.
    """

    name: str
    shape: Shape
    batch: int
    connections: int

    def app(self, form: Form) -> str:
        """Return the app of its keys, another in each form: so what was sent can be counted."""
        initials = "".join(word[0] for word in form.name.lower().split())
        return f"{self.name}.{initials}"

    def keys(self, form: Form) -> list[str]:
        """Return its keys in a form."""
        return keys_of(self.app(form))

    def bodies(self, form: Form) -> list[str]:
        """Return its bodies in a form; the same for each run."""
        make = column if self.shape == "columns" else rows
        count = BODIES_OF_ONE if self.batch == 1 else BODIES
        return [form.write(make(self.app(form), self.batch, seed)) for seed in range(count)]


ROWS = Workload("rows", "rows", 1000, 16)
COLUMNS = Workload("columns", "columns", 1000, 16)
SINGLE = Workload("single", "single", 1, 64)
GOALS = (ROWS, COLUMNS, SINGLE)

BY_SIZE = (
    SINGLE,
    Workload("rows-10", "rows", 10, 16),
    Workload("rows-100", "rows", 100, 16),
    ROWS,
    Workload("rows-10000", "rows", 10_000, 16),
)
"""Of the plot: throughput against messages per request."""


def write_files(texts: Sequence[str], folder: Path) -> Path:
    """Write texts into files numbered from 0, in a new folder within ``folder``; return that."""
    files = Path(tempfile.mkdtemp(dir=folder))
    for number, text in enumerate(texts):
        (files / str(number)).write_text(text, "utf-8")
    return files
