"""What some traffic needs of each part of the pipeline, by the figures of its components."""

import math
from dataclasses import dataclass
from itertools import pairwise

from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.figures import PARTITIONS as PARTITIONS_MEASURED
from ops.lab.scale.figures import Figures
from ops.lab.scale.prices import cost
from ops.lab.scale.spread import buckets_in, busiest_share, distinct, occupied
from ops.lab.scale.traffic import Traffic
from workers import commits
from workers.aggregator import ENTRIES_MAX, LINGER_MIN_S, linger_s

PERIOD_MAX_S = 10.0
"""A worker that reads less often than this is overloaded, whatever it gains by large commits."""

_SECONDS_PER_HOUR, _HOURS_PER_DAY, _BITS = 3600, 24, 8


@dataclass(frozen=True, slots=True)
class Layout:
    """What the traffic meets.

    Attributes:
        masters: Of Redis.
        partitions: In all.
        workers: Processes that fold.
        stretch: How much longer work takes than its CPU seconds, as others want the same core.
    """

    masters: int
    partitions: int
    workers: int
    stretch: float = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What is needed. A core is one that does nothing else.

    Attributes:
        sender_cores: wrk, where it runs on the same machine.
        collector_cores: Collectors.
        worker_cores: Workers, as many as the layout has.
        query_cores: The query service.
        redis_cores: All masters together.
        busiest_master: Cores of the master with the most to do; it can have one.
        busiest_partition: Cores of the partition with the most to do; all on one master.
        memory_bytes: Redis, all masters together, without replicas.
        busiest_master_bytes: Redis, the fullest master.
        backlog_bytes: Of that memory, what is kept free for the backlog.
        wire_bits_per_s: Between senders and collectors.
        redis_bits_per_s: To and from all masters, replicas included.
        period_s: From one read of a worker to its next.
    """

    sender_cores: float
    collector_cores: float
    worker_cores: float
    query_cores: float
    redis_cores: float
    busiest_master: float
    busiest_partition: float
    memory_bytes: float
    busiest_master_bytes: float
    backlog_bytes: float
    wire_bits_per_s: float
    redis_bits_per_s: float
    period_s: float


def demand(traffic: Traffic, layout: Layout, figures: Figures, assumed: Assumptions) -> Demand:
    """Return what traffic needs."""
    append = appending(traffic, layout, figures)
    fold, period_s = folding(traffic, layout, figures, assumed.patience_s)
    queries = assumed.queries_per_s
    redis_cores = (
        cost(append, figures.append_redis_s)
        + cost(fold, figures.fold_redis_s)
        + queries * figures.query_redis_s
    )
    partition_share = busiest_share(layout.partitions, traffic.keys)
    master_share = busiest_master_share(layout, traffic.keys)
    backlog, memory = memory_bytes(traffic, figures, assumed)
    moved = cost(append, figures.append_bytes) + cost(fold, figures.fold_bytes)
    requests, values = traffic.requests_per_s, traffic.values_per_s
    sender = figures.sender_s.get(traffic.way)
    return Demand(
        sender_cores=sender.of(requests, values) if sender else 0.0,
        collector_cores=figures.collector_s[traffic.shape].of(requests, values),
        worker_cores=cost(fold, figures.fold_worker_s),
        query_cores=queries * figures.query_s,
        redis_cores=redis_cores,
        busiest_master=redis_cores * master_share,
        busiest_partition=redis_cores * partition_share,
        memory_bytes=memory,
        busiest_master_bytes=memory * master_share,
        backlog_bytes=backlog,
        wire_bits_per_s=figures.wire_bytes[traffic.shape].of(requests, values) * _BITS,
        redis_bits_per_s=moved * (1 + assumed.replicas) * _BITS,
        period_s=period_s,
    )


def busiest_master_share(layout: Layout, keys: int) -> float:
    """Return the share of the work of the master that has the busiest partition."""
    busiest = busiest_share(layout.partitions, keys)
    others = math.ceil(layout.partitions / layout.masters) - 1
    return busiest + others * (1 - busiest) / max(1, layout.partitions - 1)


def appending(traffic: Traffic, layout: Layout, figures: Figures) -> dict[str, float]:
    """Return what is done a second to append."""
    # Each master has a send queue, and a round trip has what is on its way to that master only.
    places = occupied(layout.partitions, traffic.keys)
    queues = min(layout.masters, places)
    together = max(1.0, figures.requests_per_trip[traffic.shape] / queues)
    trips = traffic.requests_per_s / together
    columns = trips * distinct(traffic.keys / queues, together)
    if traffic.is_marked:
        columns = traffic.requests_per_s
    return {
        "trip": trips * (2 if traffic.is_marked else 1),  # it is registered first
        "call": trips * distinct(places / queues, together),
        "column": columns,
        "message": traffic.values_per_s,
        "mark": traffic.requests_per_s if traffic.is_marked else 0.0,
    }


def folding(
    traffic: Traffic, layout: Layout, figures: Figures, patience_s: float
) -> tuple[dict[str, float], float]:
    """Return what is done a second to fold, and the time between two reads of a worker.

    The longer a worker is busy, the more it finds at its next read: so commits grow with the
    traffic, and what is done for each commit does not. The time is where both agree, or longer.

    Args:
        traffic: What comes in.
        layout: What it meets.
        figures: Of the components.
        patience_s: The least time between two reads, if a read can bring as much as has come.
    """
    append = appending(traffic, layout, figures)
    entries = traffic.requests_per_s if traffic.is_marked else append["call"]
    places = occupied(layout.partitions, traffic.keys)
    # A read brings so many entries of a partition at most; a full one is followed by the next.
    period_max = min(PERIOD_MAX_S, ENTRIES_MAX * places * layout.workers / entries)

    def one_round(period_s: float) -> dict[str, float]:
        share = period_s / layout.workers
        key_hours = distinct(traffic.keys, traffic.requests_per_s * share)
        return {
            "round": layout.partitions / PARTITIONS_MEASURED,
            "commit": max(distinct(places, entries * share), key_hours / commits.COLUMNS_MAX),
            "entry": entries * share,
            "key-hour": key_hours,
            "message": traffic.values_per_s * share,
            "bucket": key_hours * buckets_in(traffic.rate * share / key_hours),
        }

    def busy_s(period_s: float) -> float:
        work = one_round(period_s)
        return layout.stretch * (
            cost(work, figures.fold_worker_s) + cost(work, figures.fold_redis_s)
        )

    def takes_s(period_s: float) -> float:
        busy = busy_s(period_s)
        return busy + linger_s(busy)

    low, high = min(max(patience_s, LINGER_MIN_S), period_max), period_max
    if takes_s(low) <= low:
        high = low
    elif takes_s(high) < high:
        for _ in range(40):
            middle = (low + high) / 2
            if takes_s(middle) > middle:
                low = middle
            else:
                high = middle
    rounds = layout.workers / high
    return {unit: count * rounds for unit, count in one_round(high).items()}, high


def memory_bytes(traffic: Traffic, figures: Figures, assumed: Assumptions) -> tuple[float, float]:
    """Return what the backlog may need, and what Redis needs in all."""
    in_hour = traffic.rate / traffic.keys * _SECONDS_PER_HOUR
    hours = assumed.retention_days * _HOURS_PER_DAY * traffic.keys * min(1.0, in_hour)
    kept = hours * key_hour_bytes(buckets_in(max(1.0, in_hour)), figures)
    entries = traffic.requests_per_s / (
        1.0 if traffic.is_marked else figures.requests_per_trip[traffic.shape]
    )
    backlog = assumed.outage_s * (
        entries * figures.backlog_bytes["entry"]
        + traffic.values_per_s * figures.backlog_bytes["message"]
    )
    marks = traffic.requests_per_s * assumed.dedupe_s * figures.mark_bytes
    return backlog, kept + backlog + (marks if traffic.is_marked else 0.0)


def key_hour_bytes(buckets: float, figures: Figures) -> float:
    """Return the size of a key-hour, between those that were measured."""
    sizes = sorted(figures.key_hour_bytes.items())
    for (few, small), (many, large) in pairwise(sizes):
        if buckets <= many:
            return small + (large - small) * max(0.0, buckets - few) / (many - few)
    return sizes[-1][1]
