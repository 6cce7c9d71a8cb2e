"""The report: tables in Markdown of what the model says."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.demand import demand
from ops.lab.scale.figures import Figures
from ops.lab.scale.hardware import ALL, CLUSTER, Hardware
from ops.lab.scale.incidents import CLIENTS, RATE, Incident
from ops.lab.scale.limits import CHANGES, RATE_MAX, limits
from ops.lab.scale.sizing import Size, size
from ops.lab.scale.traffic import Traffic, Way

RATES = (1e4, 1e5, 1e6, 1e7)
KEYS = (10, 1000, 100_000)
WAYS: tuple[Way, ...] = ("single", "client", "aggregate")

_HOURS_PER_MONTH = 730
_GIGA = 1e9
_TOLD = {
    "single": "single messages",
    "client": "client batches",
    "aggregate": "aggregates of the clients",
}


def report(figures: Figures, assumed: Assumptions) -> str:
    """Return all tables."""
    parts = [
        "# How far it goes",
        "What `python -m ops.lab.scale` prints; [design](design.md) says what to make of it.",
        f"Figures: {figures.machine}. A core may be busy to {assumed.ceiling:.0%}; "
        f"{assumed.retention_days} days are kept; each master has {assumed.replicas} replica.",
        f"Prices: {assumed.price_source}.",
        _section("What each rate needs", _sizes(figures, assumed)),
        _section("Where it breaks", _breaks(figures, assumed)),
        "\n".join(f"- **{part}**: {change}." for part, change in CHANGES.items()),
        _section("The most that partitions can take", _partitions(figures, assumed)),
        _section("A hot key spread over several partitions", _hot_key(figures, assumed)),
    ]
    return "\n\n".join(parts)


def failures(found: Sequence[Incident]) -> str:
    """Return what was simulated, with the plots that ``simulate --plot docs`` writes."""
    parts = ["## When something fails", f"Simulated, {short(RATE)} messages/s of {CLIENTS} apps."]
    parts += [f"- {told(each)}.\n\n  ![{each.title}](scale-{each.name}.svg)" for each in found]
    return "\n\n".join(parts)


def _section(title: str, lines: Iterator[Sequence[str]]) -> str:
    head, *rows = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
    return f"## {title}\n\n{table}"


def _sizes(figures: Figures, assumed: Assumptions) -> Iterator[Sequence[str]]:
    yield (
        *("messages/s, keys", "sent as", "collector cores", "worker cores", "query cores"),
        *("Redis masters", "partitions", "Redis GB", "Gbit/s in", "Gbit/s of Redis", "USD/month"),
    )
    for rate in RATES:
        for keys in KEYS:
            for way in WAYS:
                yield _size_row(size(Traffic(rate, keys, way), figures, assumed))


def _size_row(found: Size) -> Sequence[str]:
    need, layout = found.need, found.layout
    return (
        f"{short(found.traffic.rate)}, {found.traffic.keys:,}",
        _TOLD[found.traffic.way],
        f"{found.collectors:,}",
        f"{layout.workers:,}",
        f"{found.queries:,}",
        f"{layout.masters:,}" if found.fits else "none are enough",
        f"{layout.partitions:,}" if found.fits else "-",
        f"{need.memory_bytes / _GIGA:,.1f}",
        f"{need.wire_bits_per_s / _GIGA:.2g}",
        f"{need.redis_bits_per_s / _GIGA:.2g}",
        f"{found.usd_per_hour * _HOURS_PER_MONTH:,.0f}" if found.fits else "-",
    )


def _breaks(figures: Figures, assumed: Assumptions) -> Iterator[Sequence[str]]:
    yield "hardware, keys", "sent as", "breaks first", "at messages/s", "then", "at messages/s"
    for hardware in ALL:
        for keys in KEYS:
            for way in WAYS:
                first, second = limits(Traffic(1.0, keys, way), hardware, figures, assumed)[:2]
                yield (
                    f"{hardware.name}, {keys:,}",
                    _TOLD[way],
                    *(first.part, rate_told(first.rate)),
                    *(second.part, rate_told(second.rate)),
                )


def _partitions(figures: Figures, assumed: Assumptions) -> Iterator[Sequence[str]]:
    """A master for each partition, and enough of all else."""
    yield "keys", "partitions", *(f"{_TOLD[way]}/s" for way in WAYS)
    for keys, partitions in (
        (1, 16),
        (10, 16),
        (1000, 16),
        (1000, 64),
        (100_000, 16),
        (100_000, 64),
    ):
        yield (
            f"{keys:,}",
            str(partitions),
            *(
                rate_told(_most_of_redis(Traffic(1.0, keys, way), partitions, figures, assumed))
                for way in WAYS
            ),
        )


def _most_of_redis(
    traffic: Traffic, partitions: int, figures: Figures, assumed: Assumptions
) -> float:
    enough = replace(_ample(partitions), masters=partitions)
    found = limits(traffic, enough, figures, assumed)
    return next(limit.rate for limit in found if limit.part in ("redis", "partition"))


def _ample(partitions: int) -> Hardware:
    """Return hardware that has enough of all but partitions."""
    return replace(CLUSTER, partitions=partitions, collectors=1e6, workers=max(4, partitions // 4))


def _hot_key(figures: Figures, assumed: Assumptions) -> Iterator[Sequence[str]]:
    """One key whose messages are dealt out to parts of it, each in a partition of its own."""
    yield (
        "partitions of the key",
        *(f"{_TOLD[way]}/s" for way in WAYS),
        "GB of its hours",
        "hashes a query reads",
    )
    for parts in (1, 2, 4, 8, 16):
        dealt = [Traffic(1.0, 1, way) for way in WAYS]
        rates = [_most_of_redis(each, 16, figures, assumed) * parts for each in dealt]
        kept = demand(
            Traffic(1e5, 1, "client"),
            CLUSTER.layout,
            figures,
            replace(assumed, outage_s=0.0, dedupe_s=0.0),
        ).memory_bytes
        yield str(parts), *map(rate_told, rates), f"{kept * parts / _GIGA:.3f}", str(parts)


def told(incident: Incident) -> str:
    """Return the course of an incident in a few words."""
    return (
        f"{incident.title}: backlog at most {short(incident.backlog.max())} messages, "
        f"{incident.backlog_age_s.max():.1f} s old; "
        f"in clients at most {short(incident.waiting.max())}, "
        f"{incident.waiting_age_s.max():.1f} s old; {short(incident.dropped)} dropped; "
        f"nothing is late any more {incident.well_again_s:.1f} s after it began"
    )


def rate_told(rate: float) -> str:
    """Return a rate as people read it."""
    return "never" if rate >= RATE_MAX else short(rate) if rate else "at any"


def short(figure: float) -> str:
    """Return a number with its thousands or millions, to two digits."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if figure >= factor:
            return f"{float(f'{figure / factor:.2g}'):g} {unit}"
    return f"{float(f'{figure:.2g}'):g}"
