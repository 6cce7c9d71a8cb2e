"""What the apps record into: Redis, two collectors that may die, a worker and the query service."""

from pathlib import Path
from typing import Self

from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until

COLLECTORS = 2
DRAIN_TIMEOUT_S = 30.0


class Site:
    """The processes of the Procfile on a Redis of their own.

    Args:
        folder: Where data and logs lie; it must exist.

    Attributes:
        collectors: What is broken.
        query: The query service.
    """

    def __init__(self, folder: Path) -> None:
        data = folder / "redis"
        data.mkdir()
        self._redis = EmbeddedRedis(find_server(), port=free_port(), folder=data)
        url = self._redis.url
        self.collectors = [
            Service("collector", url, folder / f"collector-{number}.log")
            for number in range(1, COLLECTORS + 1)
        ]
        self.query = Service("query", url, folder / "query.log")
        self._worker = Service("worker", url, folder / "worker.log")

    @property
    def urls(self) -> list[str]:
        """Of the collectors, as clients are told."""
        return [f"http://127.0.0.1:{collector.port}" for collector in self.collectors]

    def start(self) -> Self:
        """Start everything, and wait until it answers."""
        self._redis.start()
        services = [*self.collectors, self.query, self._worker]
        # All at once: each takes a second to load what it imports.
        for service in services:
            service.launch()
        for service in services:
            service.wait_until_ready(START_TIMEOUT_S)
        return self

    def wait_for_collectors(self) -> None:
        """Wait until both answer.

        Raises:
            TimeoutError: If one does not.
        """
        for collector in self.collectors:
            collector.wait_until_ready(START_TIMEOUT_S)

    def drain(self) -> None:
        """Wait until all that was accepted is in its hour.

        Raises:
            TimeoutError: If it does not get there.
        """
        wait_until(self._is_drained, DRAIN_TIMEOUT_S, "the backlog is empty")

    def close(self) -> None:
        """Leave nothing of it."""
        for service in (*self.collectors, self.query, self._worker):
            service.kill()
        self._redis.stop()

    def _is_drained(self) -> bool:
        total = self.query.get("/audit").json["total"]
        return total is not None and total["entries"]["backlog"] == 0
