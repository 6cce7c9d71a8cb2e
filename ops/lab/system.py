"""The system under test: a Redis, and the processes of the Procfile on it, each as often as wanted.

Benchmarks and chaos use the same one, and look at Redis past all of its processes.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Protocol, Self

from metrics.audit import PartitionAudit, read_audits
from metrics.connection import Connection, done
from metrics.errors import StorageUnavailableError
from metrics.hours import Hour
from metrics.settings import Settings
from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.ports import free_port
from ops.local.redis_cluster import RedisCluster
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until

LOOK_TIMEOUT_S = 5.0
DRAIN_TIMEOUT_S = 120.0


class Redis(Protocol):
    """A Redis, of whatever it is made."""

    @property
    def url(self) -> str:
        """How it is reached."""


class System:
    """The processes, their Redis, and a look at it past all of them.

    Args:
        redis: What the processes share; it is up.
        folder: Where logs lie; it must exist.
        collectors: How many services; one may have several processes.
        workers: How many.
        environ: More variables, by the name of the service.

    Attributes:
        redis: What they share.
        collectors: Where messages go.
        workers: Of all partitions, each.
        query: The query service.
        query_headers: What ``counted`` sends with each query, such as ``Authorization``.
        connection: The way to Redis that nothing is done to.
        partitions: Their numbers.
    """

    def __init__(
        self,
        redis: Redis,
        folder: Path,
        *,
        collectors: int = 1,
        workers: int = 1,
        environ: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.redis = redis
        self._folder = folder
        self._environ = environ or {}
        self._begun = time()
        self.collectors = [
            self.service("collector", f"collector-{i}") for i in range(1, collectors + 1)
        ]
        self.workers = [self.service("worker", f"worker-{i}") for i in range(1, workers + 1)]
        self.query = self.service("query", "query")
        self.query_headers: Mapping[str, str] = {}
        self.connection = Connection.open(self.own_url, timeout_s=LOOK_TIMEOUT_S, connections_max=2)
        self.partitions = range(Settings.from_env({"REDIS_URL": self.own_url}).partitions)

    @property
    def own_url(self) -> str:
        """How we reach Redis ourselves."""
        return self.redis.url

    def url_of(self, role: str) -> str:
        """Return the URL that a process of a role gets."""
        del role
        return self.redis.url

    def service(self, name: str, label: str, command: str = "", **environ: str) -> Service:
        """Return a process that is not started yet.

        Args:
            name: Its name in the Procfile.
            label: Tells it from others of its name.
            command: What to start instead of the line of the Procfile.
            environ: More variables.
        """
        log = self._folder / f"{label}.log"
        more = {**self._environ.get(name, {}), **environ}
        return Service(name, self.url_of(name), log, command=command, **more)

    @property
    def services(self) -> list[Service]:
        """All processes but Redis."""
        return [*self.collectors, *self.workers, self.query]

    @property
    def collector_urls(self) -> list[str]:
        """Of the collectors, as clients are told."""
        return [f"http://127.0.0.1:{collector.port}" for collector in self.collectors]

    @property
    def processes(self) -> dict[str, int]:
        """Name -> process id, of all that does work: that of a cluster's nodes together is Redis'.

        The query service has no part in it.
        """
        nodes = self.redis.nodes if isinstance(self.redis, RedisCluster) else [self.redis]
        started = {
            **{each.label: each.process for each in (*self.collectors, *self.workers)},
            **{
                f"redis-{i}" if len(nodes) > 1 else "redis": node.process
                for i, node in enumerate(nodes, 1)
                if isinstance(node, EmbeddedRedis)
            },
        }
        return {name: process.pid for name, process in started.items() if process}

    def start(self, services: Sequence[Service] | None = None) -> Self:
        """Start the processes, or some of them, and wait until they reach Redis."""
        # All at once: each takes a second to load what it imports.
        for service in services or self.services:
            service.launch()
        self.wait_until_ready(services)
        return self

    def wait_until_ready(self, services: Sequence[Service] | None = None) -> None:
        """Wait until every process reaches Redis, or some of them do.

        Raises:
            RuntimeError: If one has ended.
            TimeoutError: If one does not reach it.
        """
        for service in services or self.services:
            service.wait_until_ready(START_TIMEOUT_S)

    def stop(self, services: Sequence[Service]) -> None:
        """End processes, and wait for their end."""
        for service in services:
            service.send(signal.SIGTERM)
        for service in services:
            service.wait()

    def close(self) -> None:
        """Leave nothing of the processes."""
        for service in self.services:
            service.kill()
        self.connection.close()

    def audit(self) -> list[PartitionAudit]:
        """Return the audit of all partitions, in the order of their numbers.

        Raises:
            MetricsError: If some cannot be read.
        """
        return [done(each) for each in read_audits(self.connection, self.partitions).values()]

    def balanced_audit(self) -> list[PartitionAudit]:
        """Return that audit.

        Raises:
            MetricsError: If some cannot be read.
            RuntimeError: If it does not balance.
        """
        audit = self.audit()
        if wrong := [each for each in audit if not each.balance]:
            raise RuntimeError(f"the audit does not balance: {wrong}")
        return audit

    def drain(self, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
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
            return not any(each.length for each in self.audit())
        except StorageUnavailableError:
            return False

    def counted(self, keys: Sequence[str]) -> int:
        """Return how many messages of some keys the query service has, in all hours of this system.

        Raises:
            RuntimeError: If it does not say.
        """
        hours = range(Hour.of(self._begun).number, Hour.of(time()).number + 1)
        return sum(self._count(key, Hour(number)) for key in keys for number in hours)

    def _count(self, key: str, hour: Hour) -> int:
        answer = self.query.get(f"/{key}/count/{path_of(hour)}", **self.query_headers)
        if answer.status == HTTPStatus.NOT_FOUND:
            return 0
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"GET count of {key} is answered {answer.status}")
        count: int = answer.json["count"]
        return count


def path_of(hour: Hour) -> str:
    """Return an hour as the query service wants it in a path, ``2026-11-23/14``."""
    return str(hour).replace("T", "/")


@contextmanager
def embedded_redis(folder: Path | None = None) -> Iterator[EmbeddedRedis]:
    """A Redis as it is shipped, in a folder of its own if none is given."""
    with TemporaryDirectory(prefix="metrics-lab-") as own:
        redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder or Path(own))
        try:
            yield redis.start()
        finally:
            redis.stop()
