"""Hardware to try the model on: what there is of cores, memory and network."""

from dataclasses import dataclass

from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.demand import Demand, Layout

_GIGA = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What there is.

    Attributes:
        name: What people call it.
        cores: All of it, where collectors, workers, query service and Redis share them.
        collectors: Cores for collectors and query services alone; 0 where they share.
        workers: Processes that fold, each with a core if ``cores`` is 0.
        masters: Of Redis, each with a core.
        partitions: ``METRICS_PARTITIONS``.
        memory_bytes: For all masters.
        network_bits_per_s: Of all machines that collectors are on; 0 if it is not used.
        ceiling: How busy a core may be.
        has_senders: Whether what sends the load is there, too.
    """

    name: str
    cores: float = 0.0
    collectors: float = 0.0
    workers: int = 1
    masters: int = 1
    partitions: int = 16
    memory_bytes: float
    network_bits_per_s: float = 0.0
    ceiling: float
    has_senders: bool = False

    @property
    def layout(self) -> Layout:
        """How the pipeline lies on it."""
        # Where cores are shared, each piece of work waits as long again for those of others.
        return Layout(self.masters, self.partitions, self.workers, 2.0 if self.cores else 1.0)

    def shares(self, need: Demand, assumed: Assumptions) -> dict[str, float]:
        """Return for each part which share of it is needed; above 1 it breaks."""
        found = {
            "redis": need.busiest_master / self.ceiling,
            "memory": need.busiest_master_bytes
            / (self.memory_bytes / self.masters * assumed.memory_ceiling),
        }
        if self.network_bits_per_s:
            moved = need.wire_bits_per_s + need.redis_bits_per_s
            found["network"] = moved / (self.network_bits_per_s * self.ceiling)
        if self.cores:
            all_cores = (
                need.collector_cores + need.worker_cores + need.query_cores + need.redis_cores
            )
            if self.has_senders:
                all_cores += need.sender_cores
            found["cores"] = all_cores / (self.cores * self.ceiling)
            found["workers"] = need.worker_cores / self.workers
        else:
            collecting = need.collector_cores + need.query_cores
            found["collectors"] = collecting / (self.collectors * self.ceiling)
            found["workers"] = need.worker_cores / (self.workers * self.ceiling)
        return found


FULL = 0.92
"""How busy cores get under a sender that waits for each answer: now and then all but one process
wait for that one, and a core has nothing to do."""

THIS_MACHINE = Hardware(
    name="2 cores for all of it and wrk",
    cores=2,
    memory_bytes=16 * _GIGA,
    ceiling=FULL,
    has_senders=True,
)
ONE_MACHINE = Hardware(
    name="one machine of 16 cores",
    cores=16,
    workers=3,
    memory_bytes=64 * _GIGA,
    network_bits_per_s=10 * _GIGA,
    ceiling=0.6,
)
CLUSTER = Hardware(
    name="a cluster of 3 masters, 8 cores of collectors, 4 workers",
    collectors=8,
    workers=4,
    masters=3,
    memory_bytes=3 * 16 * _GIGA,
    network_bits_per_s=2 * 10 * _GIGA,
    ceiling=0.6,
)
ALL = (THIS_MACHINE, ONE_MACHINE, CLUSTER)
