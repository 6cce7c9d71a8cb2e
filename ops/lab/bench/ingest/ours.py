"""Ours, end to end: Redis as it is shipped, and the processes of the Procfile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from time import time
from typing import Any, Self

from metrics.connection import Connection
from metrics.hours import Hour
from metrics.settings import Settings
from ops.lab.bench.ingest.bodies import Form, json_array, json_columns, json_object
from ops.lab.bench.ingest.workload import Shape
from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until

NAME = "metrics"
DRAIN_TIMEOUT_S = 120.0
LOOK_TIMEOUT_S = 5.0

_PATH, _JSON = "/messages", "application/json"


class Ours:
    """A Redis of its own, a collector, a worker and a query service.

    Args:
        folder: Where its data lie; it must exist.
        collectors: ``WEB_CONCURRENCY`` of the collector.

    Attributes:
        collector: Where messages go.
        worker: Folds them.
        query: Answers.
        redis: What they share.
        connection: The way to it, past all of them.
        partitions: How many there are.
    """

    name = NAME
    forms: Mapping[Shape, Sequence[Form]] = {
        "rows": [Form("JSON array", _PATH, _JSON, json_array)],
        "columns": [Form("JSON values", _PATH, _JSON, json_columns)],
        "single": [Form("JSON object", _PATH, _JSON, json_object)],
    }

    def __init__(self, folder: Path, *, collectors: int) -> None:
        self.redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder)

        def service(name: str, **environ: str) -> Service:
            return Service(name, self.redis.url, folder / f"{name}.log", **environ)

        self.collector = service("collector", WEB_CONCURRENCY=str(collectors))
        self.worker = service("worker")
        self.query = service("query")
        self.connection = Connection.open(
            self.redis.url, timeout_s=LOOK_TIMEOUT_S, connections_max=1
        )
        self.partitions = Settings.from_env({"REDIS_URL": self.redis.url}).partitions
        self._started = time()
        self._stack = ExitStack()

    @property
    def port(self) -> int:
        """Of the collector."""
        return self.collector.port

    @property
    def processes(self) -> Mapping[str, int]:
        """All but the query service, which has no part in the work."""
        started = {
            "collector": self.collector.process,
            "worker": self.worker.process,
            "redis": self.redis.process,
        }
        return {name: process.pid for name, process in started.items() if process}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.redis.stop)
            self.redis.start()
            stack.callback(self.connection.close)
            services = [self.collector, self.worker, self.query]
            for service in services:
                stack.callback(service.kill)
                service.launch()
            for service in services:
                service.wait_until_ready(LOOK_TIMEOUT_S * 4)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def drain(self) -> None:
        """Wait until the backlog is empty.

        Raises:
            TimeoutError: If it does not become so.
        """
        wait_until(
            lambda: self.audit()["entries"]["backlog"] == 0, DRAIN_TIMEOUT_S, "an empty backlog"
        )

    def audit(self) -> Any:  # noqa: ANN401  (as JSON has them)
        """Return the audit of all partitions together, as ``/audit`` shows them.

        Raises:
            RuntimeError: If they do not balance.
        """
        # A node that was slow to answer once is asked again: the audit is no part of the load.
        wait_until(
            lambda: self.query.get("/audit").status == HTTPStatus.OK,
            LOOK_TIMEOUT_S * 4,
            "the audit",
        )
        audit = self.query.get("/audit").json
        if not audit.get("balance"):
            raise RuntimeError(f"the audit does not balance: {audit}")
        return audit["total"]

    def accepted(self) -> int:
        """Return how many messages were appended, by the audit."""
        accepted: int = self.audit()["messages"]["accepted"]
        return accepted

    def counted(self, keys: Sequence[str], at_least: int) -> int:
        """Return the counts of all hours since the start; what is drained is there at once."""
        del at_least
        return sum(self._count(key, hour) for key in keys for hour in self._hours())

    def _hours(self) -> Iterator[Hour]:
        hour = Hour.of(self._started)
        while hour.start <= time():
            yield hour
            hour = Hour.of(hour.end)

    def _count(self, key: str, hour: Hour) -> int:
        answer = self.query.get(f"/{key}/count/{path_of(hour)}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return 0
        count: int = answer.json["count"]
        return count


def path_of(hour: Hour) -> str:
    """Return an hour as the query service wants it in a path, ``2026-11-23/14``."""
    return str(hour).replace("T", "/")
