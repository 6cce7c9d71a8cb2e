"""What the model takes for granted; change it here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What no benchmark can say.

    Attributes:
        ceiling: How busy a core may be in the long run: queues grow long above it.
        patience_s: How often a worker should read, at most: the more it finds, the larger and
            fewer its commits. One with nothing else to do reads at once, which costs Redis more
            than is needed; so what is needed is told for this period.
        partitions: ``METRICS_PARTITIONS``.
        retention_days: ``METRICS_RETENTION_DAYS``.
        dedupe_s: ``METRICS_DEDUPE_SECONDS``.
        outage_s: How long all workers may be away; the backlog of so long must fit.
        memory_ceiling: Share of a machine's memory that Redis may fill: it forks to rewrite its
            append-only file, and pages that are written meanwhile are there twice.
        master_bytes_max: What one master should hold: so much is loaded again after a crash,
            and sent to a new replica.
        replicas: Of each master.
        queries_per_s: Key-hours that are asked for.
        core_usd_per_hour: Of a core.
        gigabyte_usd_per_hour: Of memory.
        price_source: Where these come from.
    """

    ceiling: float = 0.6
    patience_s: float = 1.0
    partitions: int = 16
    retention_days: int = 30
    dedupe_s: float = 900.0
    outage_s: float = 600.0
    memory_ceiling: float = 0.6
    master_bytes_max: float = 25e9
    replicas: int = 1
    queries_per_s: float = 50.0
    core_usd_per_hour: float = 0.0272
    gigabyte_usd_per_hour: float = 0.0034
    price_source: str = (
        "AWS EC2 on demand, Linux, us-east-1, June 2026: m7g.large, 2 cores and 8 GB, at "
        "0.0816 USD/h (https://www.factualminds.com/blog/"
        "amazon-ec2-on-demand-pricing-instance-families-2026/); that two thirds of it are for "
        "the cores is assumed, as is that such a core is as fast as the one measured"
    )
