"""Where it breaks: the highest rate that each part can take, and what to change when it does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.demand import Layout, busiest_master_share, demand
from ops.lab.scale.figures import Figures
from ops.lab.scale.hardware import Hardware
from ops.lab.scale.traffic import Traffic

RATE_MIN, RATE_MAX = 1.0, 1e10
_EXACT = 1.001

CHANGES = {
    "collectors": "more collector processes: they share nothing. A request costs far more than a "
    "message: send batches, then one aggregate a second and key",
    "cores": "Redis on a core of its own, then collectors and workers on other machines",
    "workers": "more worker processes: each takes entries that no other has",
    "redis": "more masters, up to one for each partition: `ops/cluster`, then slots move",
    "partition": "one key, or the keys of one partition, fill a core of Redis: aggregates from "
    "the clients; then more partitions, and hot keys spread over several",
    "memory": "more masters, fewer days, or older hours elsewhere; aggregates change nothing here",
    "network": "aggregates from the clients; machines for collectors, each with its network",
}
"""Part -> the next change."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The rate at which a part is full.

    Attributes:
        part: Which.
        rate: Messages per second; ``RATE_MAX`` if it never is.
    """

    part: str
    rate: float


def limits(
    traffic: Traffic, hardware: Hardware, figures: Figures, assumed: Assumptions
) -> list[Limit]:
    """Return the limits of all parts, the first to break first.

    Args:
        traffic: Whose rate does not matter.
        hardware: What it meets.
        figures: Of the components.
        assumed: What is taken for granted.
    """

    def share_of(part: str, rate: float) -> float:
        need = demand(replace(traffic, rate=rate), hardware.layout, figures, assumed)
        return hardware.shares(need, assumed)[part]

    any_need = demand(replace(traffic, rate=RATE_MIN), hardware.layout, figures, assumed)
    found = [
        Limit(_told(part, hardware, traffic), highest(partial(share_of, part)))
        for part in hardware.shares(any_need, assumed)
    ]
    return sorted(found, key=lambda limit: limit.rate)


def highest(share: Callable[[float], float]) -> float:
    """Return the highest rate of which the share is at most 1; shares rise with the rate."""
    low, high = RATE_MIN, RATE_MAX
    if share(low) > 1:
        return 0.0
    if share(high) <= 1:
        return RATE_MAX
    while high / low > _EXACT:
        middle = (low * high) ** 0.5
        if share(middle) <= 1:
            low = middle
        else:
            high = middle
    return low


def _told(part: str, hardware: Hardware, traffic: Traffic) -> str:
    """Return ``partition`` instead of ``redis`` where more masters would change nothing."""
    layout: Layout = hardware.layout
    most = replace(layout, masters=layout.partitions)
    here, best = (busiest_master_share(each, traffic.keys) for each in (layout, most))
    return "partition" if part == "redis" and here <= best * _EXACT else part
