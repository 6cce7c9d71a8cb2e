"""What is measured: something that takes messages in and can say how many it has."""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from ops.lab.bench.ingest.bodies import Form
from ops.lab.bench.ingest.workload import Shape


class System(Protocol):
    """Ours or a database, started on this machine with its data in a folder of its own."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def port(self) -> int:
        """Where it takes messages, on 127.0.0.1."""

    @property
    def forms(self) -> Mapping[Shape, Sequence[Form]]:
        """The forms in which it takes each shape; one that is missing it does not take."""

    @property
    def processes(self) -> Mapping[str, int]:
        """Its processes: name -> process id. Their children belong to them."""

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""

    def __exit__(self, *_: object) -> None:
        """End it."""

    def drain(self) -> None:
        """Wait until it has done its work on all that it has answered."""

    def accepted(self) -> int:
        """Return how many messages it says that it has taken, since it was started."""

    def counted(self, keys: Sequence[str], at_least: int) -> int:
        """Return how many messages of some keys can be queried; waits for ``at_least``."""
