"""What is broken: a Redis, and collectors, workers and a query service on it."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from metrics.audit import PartitionAudit, read_audits
from metrics.connection import Connection
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.settings import Settings
from ops.lab.chaos.skewed_collector import OFFSET_FILE
from ops.lab.service import Service, procfile
from ops.local.waiting import wait_until

COLLECTORS = 2
WORKERS = 3
CLAIM_S = 1.0
"""Short, so that a stalled worker loses its entries while the run goes on."""

LOOK_TIMEOUT_S = 5.0
MEND_TIMEOUT_S = 30.0


class Redis(Protocol):
    """The Redis of a run, whatever it is made of.

    Attributes:
        url: What the processes get as ``REDIS_URL``.
        own_url: How it is reached past everything that is broken on the way.
        replicas: How many must have a message before its 202.
    """

    url: str
    own_url: str
    replicas: int

    def start(self) -> Self:
        """Start it, and wait until it answers."""

    def url_of(self, role: str) -> str:
        """Return the URL for a process of a role."""

    def restart(self, how: signal.Signals) -> None:
        """End all of it by a signal, and start it again."""

    def configure(self, name: str, value: str) -> None:
        """Set a parameter on every node."""

    def flush_scripts(self) -> None:
        """Let every node forget its scripts."""

    def close(self) -> None:
        """Leave nothing of it."""


class System:
    """The processes of a run, their Redis, and a look at it past all of them.

    Args:
        redis: What the processes share; started, since their ports must not be its own.
        folder: Where logs lie; it must exist.
        source: A folder whose packages the processes use instead of ours, if there is one.

    Attributes:
        redis: What they share.
        collectors: The last has a clock that can be put off.
        workers: Of all partitions, each.
        query: The query service.
        connection: The way to Redis that nothing is done to.
        partitions: Their numbers.
        clock: The file that puts the clock of the last collector off, by so many seconds.
    """

    def __init__(self, redis: Redis, folder: Path, *, source: Path | None = None) -> None:
        self.redis = redis
        self._folder = folder
        self._environ = {
            "METRICS_CLAIM_SECONDS": str(CLAIM_S),
            "METRICS_WAIT_REPLICAS": str(redis.replicas),
        }
        if source is not None:
            self._environ["PYTHONPATH"] = str(source)
        self.clock = folder / "clock-offset"
        self.clock.write_text("0", "utf-8")
        self.collectors = [
            self._service("collector", f"collector-{i}") for i in range(1, COLLECTORS)
        ]
        self.collectors.append(self._skewed_collector(f"collector-{COLLECTORS}"))
        self.workers = [self._service("worker", f"worker-{i}") for i in range(1, WORKERS + 1)]
        self.query = self._service("query", "query")
        self.partitions = range(Settings.from_env({"REDIS_URL": redis.url}).partitions)
        self.connection = Connection.open(
            redis.own_url, timeout_s=LOOK_TIMEOUT_S, connections_max=2
        )

    @property
    def services(self) -> list[Service]:
        """All processes but Redis."""
        return [*self.collectors, *self.workers, self.query]

    def start(self) -> Self:
        """Start the processes, and wait until they answer."""
        self._start(self.services)
        return self

    def check_running(self) -> None:
        """Check that no process has ended which nobody has ended.

        Raises:
            RuntimeError: If one has.
        """
        for service in self.services:
            if service.has_ended:
                service.is_alive()

    def wait_until_ready(self) -> None:
        """Wait until every process reaches Redis.

        Raises:
            TimeoutError: If one does not.
        """
        for service in self.services:
            service.wait_until_ready(MEND_TIMEOUT_S)

    def drain(self, timeout_s: float) -> None:
        """Wait until the backlog is empty.

        Raises:
            TimeoutError: If it does not become so.
        """
        try:
            wait_until(self._is_drained, timeout_s, "the backlog is empty")
        except TimeoutError as error:
            left = {each.partition: each.length for each in self.audit() if each.length}
            raise TimeoutError(f"{error}; entries by partition: {left}") from error

    def _is_drained(self) -> bool:
        try:
            return all(each.length == 0 for each in self.audit())
        except StorageUnavailableError:
            return False

    def audit(self) -> list[PartitionAudit]:
        """Return the audit of all partitions.

        Raises:
            MetricsError: If some cannot be read.
        """
        found = []
        for audit in read_audits(self.connection, self.partitions).values():
            if isinstance(audit, MetricsError):
                raise audit
            found.append(audit)
        return found

    def replace_workers(self) -> None:
        """Put fresh workers, under names that no stream knows, in the place of all."""
        _stop(self.workers)
        self.workers = [self._service("worker", f"fresh-worker-{i}") for i in range(1, WORKERS + 1)]
        self._start(self.workers)

    def restart(self) -> None:
        """Restart everything, Redis too, which is killed."""
        _stop(self.services)
        self.redis.restart(signal.SIGKILL)
        self._start(self.services)

    def close(self) -> None:
        """Leave nothing of the processes."""
        for service in self.services:
            service.kill()
        self.connection.close()

    def _service(self, name: str, label: str, command: str = "", **environ: str) -> Service:
        log = self._folder / f"{label}.log"
        return Service(
            name, self.redis.url_of(name), log, command=command, **self._environ, **environ
        )

    def _skewed_collector(self, label: str) -> Service:
        command = procfile()["collector"].replace(
            "api.collector.app:", "ops.lab.chaos.skewed_collector:"
        )
        return self._service("collector", label, command, **{OFFSET_FILE: str(self.clock)})

    def _start(self, services: list[Service]) -> None:
        # All at once: each takes a second to load what it imports.
        for service in services:
            service.launch()
        for service in services:
            wait_until(service.is_alive, MEND_TIMEOUT_S, f"{service.label} answers")


def _stop(services: Sequence[Service]) -> None:
    for service in services:
        service.send(signal.SIGTERM)
    for service in services:
        service.wait()
