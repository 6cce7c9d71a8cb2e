"""What is broken: the system under test, on a Redis that can be broken, one clock being off."""

import signal
from pathlib import Path

from ops.lab.chaos.one_redis import OneRedis
from ops.lab.chaos.six_nodes import SixNodes
from ops.lab.chaos.skewed_collector import OFFSET_FILE
from ops.lab.service import procfile
from ops.lab.system import System

COLLECTORS = 2
WORKERS = 3
CLAIM_S = 1.0
"""Short, so that a stalled worker loses its entries while the run goes on."""


def skewed_command() -> str:
    """Return the collector's line of the Procfile, with an app whose clock a file puts off."""
    return procfile()["collector"].replace("api.collector:", "ops.lab.chaos.skewed_collector:")


class ChaosSystem(System):
    """The processes of a run.

    Args:
        redis: What the processes share; started, since their ports must not be its own.
        folder: Where logs lie; it must exist.
        source: A folder whose packages the processes use instead of ours, if there is one.

    Attributes:
        clock: The file that puts the clock of the last collector off, by so many seconds.
    """

    redis: OneRedis | SixNodes

    def __init__(
        self, redis: OneRedis | SixNodes, folder: Path, *, source: Path | None = None
    ) -> None:
        more = {
            "METRICS_CLAIM_SECONDS": str(CLAIM_S),
            "METRICS_WAIT_REPLICAS": str(redis.replicas),
            **({"PYTHONPATH": str(source)} if source else {}),
            **redis.environ,
        }
        super().__init__(
            redis,
            folder,
            collectors=COLLECTORS,
            workers=WORKERS,
            environ=dict.fromkeys(procfile(), more),
        )
        self.clock = folder / "clock-offset"
        self.clock.write_text("0", "utf-8")
        self.collectors[-1] = self.service(
            "collector",
            self.collectors[-1].label,
            skewed_command(),
            **{OFFSET_FILE: str(self.clock)},
        )

    @property
    def own_url(self) -> str:
        """How we reach Redis past all that is broken."""
        return self.redis.own_url

    def url_of(self, role: str) -> str:
        """Return the URL of the user that a process of a role is."""
        return self.redis.url_of(role)

    def check_running(self) -> None:
        """Check that no process has ended which nobody has ended.

        Raises:
            RuntimeError: If one has.
        """
        for service in self.services:
            if service.has_ended:
                service.is_alive()

    def replace_workers(self) -> None:
        """Put fresh workers, under names that no stream knows, in the place of all."""
        self.stop(self.workers)
        self.workers = [self.service("worker", f"fresh-worker-{i}") for i in range(1, WORKERS + 1)]
        self.start(self.workers)

    def restart(self) -> None:
        """Restart everything, Redis too, which is killed."""
        self.stop(self.services)
        self.redis.restart(signal.SIGKILL)
        self.start()
