"""How a load is shown: a line for each part of it, and a few for the whole."""

from collections.abc import Callable, Mapping, Sequence

from ops.lab.bench.sustained.span import Span, at
from ops.lab.latencies import Latencies, shown

_MB = 1e6
_NS_PER_S = 1e9
_COLUMNS = (
    ("s", 6),
    ("sent/s", 11),
    ("accepted/s", 12),
    ("counted/s", 11),
    ("entries p50", 13),
    ("max", 8),
    ("age p50", 9),
    ("p99", 9),
    ("max", 9),
    ("POST p50", 10),
    ("p99", 9),
    ("query p99", 11),
    ("Redis MB", 10),
    ("errors", 8),
)


def head() -> str:
    """Return the head of the lines."""
    return "".join(f"{name:>{width}}" for name, width in _COLUMNS) + "   of a core"


def line(ended_s: float, span: Span) -> str:
    """Return the line of a part.

    Args:
        ended_s: When it ended, since the beginning.
        span: The part.
    """
    ages_ns = [age_s * _NS_PER_S for age_s in span.oldest_s]
    cells = (
        f"{ended_s:.0f}",
        f"{span.sent_per_s:,.0f}",
        f"{span.accepted / span.seconds:,.0f}",
        f"{span.counted / span.seconds:,.0f}",
        f"{at(0.5, span.depths):,.0f}",
        f"{max(span.depths, default=0):,}",
        *(told(at(share, ages_ns)) for share in (0.5, 0.99, 1.0)),
        told(span.post.p50) if span.post else "-",
        told(span.post.p99) if span.post else "-",
        told(span.query.p99) if span.query else "-",
        f"{span.memory_bytes / _MB:.1f}",
        f"{span.errors}",
    )
    widths = [width for _, width in _COLUMNS]
    return (
        "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        + f"   {_named(span.shares)}"
    )


def summary(whole: Span, *, memory_begun_bytes: int, drain_s: float) -> str:
    """Return the lines of all of a load.

    Args:
        whole: It.
        memory_begun_bytes: What Redis used before.
        drain_s: How long the worker went on after it.
    """
    cpu_s = whole.cpu_per_million()
    return "\n".join(
        (
            f"sent {whole.sent_per_s:,.0f} messages/s of {whole.due / whole.seconds:,.0f} due, "
            f"for {whole.seconds:.0f} s; {whole.errors} errors; drained in {drain_s:.2f} s",
            f"backlog, entries: {three(whole.depths, lambda n: f'{n:,.0f}')}",
            f"backlog, oldest: {three(whole.oldest_s, lambda s: told(s * _NS_PER_S))}",
            f"POST from when it was due: {_took(whole.post)}",
            f"query of a median: {_took(whole.query)}",
            f"CPU s per million messages: {_named(cpu_s)}; all together {sum(cpu_s.values()):.2f}",
            f"of a core: {_named(whole.shares)}; all {whole.cores} cores, by anybody: "
            f"{whole.busy:.0%}",
            f"Redis: {memory_begun_bytes / _MB:.1f} MB before, {whole.memory_bytes / _MB:.1f} MB "
            "after",
        )
    )


def told(ns: float) -> str:
    """Return a time as people read it, ``1.23 ms``; seconds as such, where there are whole ones."""
    return f"{ns / _NS_PER_S:.3g} s" if ns >= _NS_PER_S else shown(ns)


def three(numbers: Sequence[float], show: Callable[[float], str]) -> str:
    """Return median, p99 and maximum of some numbers, each as ``show`` writes it."""
    p50, p99, most = (show(at(share, numbers)) for share in (0.5, 0.99, 1.0))
    return f"p50 {p50}, p99 {p99}, max {most}"


def _took(latencies: Latencies | None) -> str:
    if latencies is None:
        return "none was answered"
    p50, p99, most = (told(ns) for ns in (latencies.p50, latencies.p99, latencies.max))
    return f"p50 {p50}, p99 {p99}, max {most} of {latencies.calls:,}"


def _named(numbers: Mapping[str, float]) -> str:
    return " ".join(f"{name} {number:.2f}" for name, number in numbers.items())
