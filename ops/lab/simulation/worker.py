"""A simulated worker: the real aggregator."""

from metrics.backlog import Backlog
from metrics.connection import Connection
from metrics.errors import MetricsError, SettingsError
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.topology import Topology
from ops.lab.simulation.node import SimulatedNode, Wire
from ops.lab.simulation.processes import Process
from workers.aggregator import Aggregator

LINGER_STEPS_MAX = 12
"""Steps between two rounds, when there was nothing more to read."""

LARGE_COLUMNS = 1
"""So that entries of few keys wait for their turn, as large ones do."""

# Hours of schedules are fixed, and ids of entries may be of the clock on the wall.
_NEVER_LATE_S = 1e9


class Worker(Process):
    """A worker process; under the same name again when it was killed.

    Args:
        name: For the trace.
        wire: The way to Redis.
        settings: Of the process.
        consumer: Name of its consumer; two processes may have the same by mistake.
    """

    def __init__(self, name: str, wire: Wire, settings: Settings, *, consumer: str) -> None:
        super().__init__(wire.scheduler, name)
        self._wire = wire
        self._settings = settings
        self._consumer = consumer

    def boot(self) -> None:
        """Begin with what is pending for its consumer."""
        aggregator = self.aggregator()
        self.start(lambda: self._fold_forever(aggregator))

    def aggregator(self) -> Aggregator:
        """Return what does the work of this process."""
        connection = Connection(
            Topology(SimulatedNode(self._wire, self), monotonic=self._monotonic)
        )
        layout = Layout(connection, partitions=self._settings.partitions, monotonic=self._slow)
        return Aggregator(
            Backlog(
                connection,
                consumer=self._consumer,
                retention_days=self._settings.retention_days,
            ),
            ensure_layout=layout.ensure,
            partitions=self._settings.partitions,
            claim_s=self._settings.claim_seconds,
            lateness_s=_NEVER_LATE_S,
            large_columns=LARGE_COLUMNS,
            now=self._monotonic,
            monotonic=self._monotonic,
        )

    def _fold_forever(self, aggregator: Aggregator) -> None:
        """Go on as ``Aggregator.run`` does."""
        while True:
            try:
                is_more = aggregator.run_once()
            except SettingsError:
                raise
            except MetricsError:
                aggregator.recover(range(self._settings.partitions))
                is_more = False
            if not is_more:
                self._wire.scheduler.sleep(self._wire.random.randrange(LINGER_STEPS_MAX))

    def _monotonic(self) -> float:
        return self._wire.scheduler.now

    def _slow(self) -> float:
        return self._wire.scheduler.now / 20
