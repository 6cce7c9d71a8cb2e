"""All systems that can be measured, by the name that the command line gives them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.lab.bench.ingest import influxdb, ours, peer, victoriametrics
from ops.lab.bench.ingest.machine import version_told
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.system import System

COLLECTORS = 2
"""``WEB_CONCURRENCY`` of our collector: as many as there are cores on the machine of the issue."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A system that can be measured.

    Attributes:
        make: Returns it, with its data in a folder.
        program: What must be installed for it; nothing, if empty.
        version: Asks that program for its version.
    """

    make: Callable[[Path], System]
    program: str = ""
    version: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether it can be started."""
        return not self.program or peer.is_installed(self.program)


def choices(collectors: int) -> dict[str, Choice]:
    """Return all systems; ours has so many collector processes."""
    return {
        ours.NAME: Choice(lambda folder: Ours(folder, collectors=collectors)),
        "influxdb": Choice(influxdb.influxdb, influxdb.PROGRAM, ("version",)),
        "victoriametrics": Choice(
            victoriametrics.victoriametrics, victoriametrics.PROGRAM, ("-version",)
        ),
    }


def told(choice: Choice) -> str:
    """Return the version of a system's program."""
    return version_told(choice.program, *choice.version)


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """A folder for data and one for bodies, for as long as a system is up."""
    with TemporaryDirectory(prefix="bench-") as folder:
        data, bodies = Path(folder, "data"), Path(folder, "bodies")
        data.mkdir()
        bodies.mkdir()
        yield data, bodies
