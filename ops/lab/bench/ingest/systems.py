"""All systems that can be measured, by the name that the command line gives them."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from ops.lab.bench.ingest.databases import Database, InfluxDB, VictoriaMetrics
from ops.lab.bench.ingest.workload import Form, Forms
from ops.lab.load.messages import json_array, json_columns, json_object
from ops.lab.machine import version_in
from ops.lab.service import procfile
from ops.lab.system import Redis, System, embedded_redis

OURS = "metrics"
COLLECTORS = 2
"""``WEB_CONCURRENCY`` of our collector: as many as there are cores where it was measured."""

SERVERS = {
    "gevent": "gunicorn with its gevent worker",
    "gevent_pywsgi": "gunicorn with its pywsgi worker",
    "granian": "granian",
}
"""HTTP servers in the place of our own."""

_GRANIAN = (
    "exec granian --interface wsgi --factory --host 127.0.0.1 --port $PORT --workers "
    # Each thread waits for Redis with its message; more of them wait for each other.
    "$WEB_CONCURRENCY --blocking-threads 4 --log-level error api.collector:get_app"
)


class Ours(System):
    """Ours, end to end: Redis as it is shipped, and the processes of the Procfile.

    Args:
        redis: What they share; it is up.
        folder: Where logs lie; it must exist.
        collectors: Processes of the collector.
        server: The HTTP server of the collector, one of ``SERVERS``; ours if not given.

    Attributes:
        name: What it is called.
        forms: In which it takes messages.
    """

    forms: ClassVar[Forms] = {
        "rows": [Form("JSON array", "/messages", "application/json", json_array)],
        "columns": [Form("JSON values", "/messages", "application/json", json_columns)],
        "single": [Form("JSON object", "/messages", "application/json", json_object)],
    }

    def __init__(self, redis: Redis, folder: Path, *, collectors: int, server: str = "") -> None:
        super().__init__(redis, folder, environ={"collector": {"WEB_CONCURRENCY": str(collectors)}})
        self.name = f"{OURS} on {server}" if server else OURS
        if server:
            gunicorn = procfile()["collector"].replace(
                "gunicorn ", f"gunicorn --worker-class {server} ", 1
            )
            command = _GRANIAN if server == "granian" else gunicorn
            more = {"WEB_CONCURRENCY": str(collectors)}
            self.collectors = [self.service("collector", "collector-1", command, **more)]

    @property
    def port(self) -> int:
        """Of the collector."""
        return self.collectors[0].port

    def accepted(self) -> int:
        """Return how many messages were appended, by the audit."""
        return sum(each.accepted for each in self.balanced_audit())

    def counted(self, keys: Sequence[str], at_least: int = 0) -> int:
        """Return how many messages of some keys there are; what is drained is there at once."""
        del at_least
        return super().counted(keys)


@contextmanager
def ours(folder: Path, *, collectors: int, server: str = "") -> Iterator[Ours]:
    """Ours with its data in a folder, up for as long as the context lasts."""
    with (
        embedded_redis(folder) as redis,
        closing(Ours(redis, folder, collectors=collectors, server=server)) as system,
    ):
        system.start()
        yield system


@dataclass(frozen=True, slots=True)
class Choice:
    """A system that can be measured.

    Attributes:
        run: Starts it with its data in a folder, and ends it.
        program: What must be on the PATH for it; nothing, if empty.
        ask_version: Its argument that asks for its version.
    """

    run: Callable[[Path], AbstractContextManager[Ours | Database]]
    program: str = ""
    ask_version: str = "version"

    @property
    def is_installed(self) -> bool:
        """Whether it can be started."""
        if not self.program:
            return True
        return bool(shutil.which(self.program) or find_spec(self.program))

    def version(self) -> str:
        """Return what its program says of its version."""
        asked = [self.program, self.ask_version]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return version_in(done.stdout + done.stderr)


def choices(collectors: int) -> dict[str, Choice]:
    """Return all systems; ours has so many collector processes."""

    def with_server(server: str) -> Choice:
        program = server if server == "granian" else ""
        return Choice(
            lambda folder: ours(folder, collectors=collectors, server=server), program, "--version"
        )

    return {
        OURS: Choice(lambda folder: ours(folder, collectors=collectors)),
        "influxdb": Choice(InfluxDB, "influxd"),
        "victoriametrics": Choice(VictoriaMetrics, "victoria-metrics", "-version"),
        **{server: with_server(server) for server in SERVERS},
    }


DATABASES = (OURS, "influxdb", "victoriametrics")
"""What is measured if nothing else is asked for."""


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """A folder for data and one for bodies, for as long as a system is up."""
    with TemporaryDirectory(prefix="bench-") as folder:
        data, bodies = Path(folder, "data"), Path(folder, "bodies")
        data.mkdir()
        bodies.mkdir()
        yield data, bodies
