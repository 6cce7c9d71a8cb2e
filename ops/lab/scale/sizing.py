"""How much of everything some traffic needs, no part busier than it may be; and what that costs."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.demand import Demand, Layout, demand
from ops.lab.scale.figures import Figures
from ops.lab.scale.traffic import Traffic

PARTITIONS_MAX = 1024
"""A worker reads each of them in each round: with many more it would do little else."""

WORKERS_MAX = 4096
_GIGA = 1e9


@dataclass(frozen=True, slots=True)
class Size:
    """What to put up.

    Attributes:
        traffic: For what.
        layout: Masters, partitions and workers; partitions as they are, if those suffice.
        need: What the traffic needs of it.
        fits: Whether it is enough; else the busiest partition is too much for a core of Redis.
        collectors: Cores of collectors.
        queries: Cores of query services.
        usd_per_hour: What it costs.
    """

    traffic: Traffic
    layout: Layout
    need: Demand
    fits: bool
    collectors: int
    queries: int
    usd_per_hour: float


def size(traffic: Traffic, figures: Figures, assumed: Assumptions) -> Size:
    """Return the least that is enough."""
    layout, need, fits = _layout(traffic, figures, assumed)
    collectors = math.ceil(need.collector_cores / assumed.ceiling)
    queries = math.ceil(need.query_cores / assumed.ceiling)
    copies = 1 + assumed.replicas
    cores = collectors + queries + layout.workers + layout.masters * copies
    gigabytes = need.memory_bytes * copies / assumed.memory_ceiling / _GIGA
    usd = cores * assumed.core_usd_per_hour + gigabytes * assumed.gigabyte_usd_per_hour
    return Size(traffic, layout, need, fits, collectors, queries, usd)


def _layout(
    traffic: Traffic, figures: Figures, assumed: Assumptions
) -> tuple[Layout, Demand, bool]:
    """Return masters, partitions and workers, more partitions than there are only if it must be."""
    partitions = assumed.partitions
    busiest_before = math.inf
    while True:
        layout = _workers(traffic, Layout(partitions, partitions, 1), figures, assumed)
        need = demand(traffic, layout, figures, assumed)
        if _fits(need, assumed):
            return *_fewest_masters(traffic, layout, figures, assumed), True
        # Keys that are alone in their partition gain nothing by more partitions.
        if partitions * 2 > PARTITIONS_MAX or need.busiest_partition > busiest_before * 0.9:
            return layout, need, False
        busiest_before = need.busiest_partition
        partitions *= 2


def _fewest_masters(
    traffic: Traffic, layout: Layout, figures: Figures, assumed: Assumptions
) -> tuple[Layout, Demand]:
    def with_masters(masters: int) -> tuple[Layout, Demand]:
        fewer = _workers(traffic, replace(layout, masters=masters), figures, assumed)
        return fewer, demand(traffic, fewer, figures, assumed)

    masters = least(lambda number: _fits(with_masters(number)[1], assumed), layout.partitions)
    return with_masters(masters)


def _workers(traffic: Traffic, layout: Layout, figures: Figures, assumed: Assumptions) -> Layout:
    """Return the layout with as many workers as are needed."""

    def is_enough(workers: int) -> bool:
        need = demand(traffic, replace(layout, workers=workers), figures, assumed)
        return need.worker_cores <= workers * assumed.ceiling

    return replace(layout, workers=least(is_enough, WORKERS_MAX))


def least(is_enough: Callable[[int], bool], most: int) -> int:
    """Return the least number that is enough, if all above it are; ``most`` if none is."""
    return 1 + bisect_left(range(1, most), 1, key=is_enough)


def _fits(need: Demand, assumed: Assumptions) -> bool:
    return (
        need.busiest_master <= assumed.ceiling
        and need.busiest_master_bytes <= assumed.master_bytes_max
    )
