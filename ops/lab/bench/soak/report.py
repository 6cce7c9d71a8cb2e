"""How a load is shown: a line for each part, a few for the whole, and what each node did."""

import os
from collections.abc import Callable, Mapping, Sequence

from tabulate import tabulate

from ops.lab.bench.soak.measure import Soaked
from ops.lab.bench.soak.nodes import NodeWork, most_to_mean
from ops.lab.load.plan import Tick
from ops.lab.quantiles import Quantiles, in_words, shown

KEPT_UP = 0.99
"""Of what was due; the rest is what the last moment leaves under way."""

FULL = 0.9
"""Of a core: who has so much of it has no more to give, as others want some of it too."""

BEHIND_MAX_S = 2.0
"""Deeper than that, a backlog is no longer what lies between two commits."""

_NODES: Mapping[str, Callable[[NodeWork], float]] = {
    "partitions": lambda node: node.partitions,
    "messages": lambda node: node.messages,
    "commands": lambda node: node.commands,
    "CPU": lambda node: node.cpu_s,
    "memory": lambda node: node.memory_bytes,
}


def line(before: Tick, now: Tick) -> str:
    """Return what happened between two ticks."""
    return (
        f"sent {now.sent - before.sent:,}, accepted {now.accepted - before.accepted:,}, "
        f"{now.errors - before.errors} errors; POST {in_words(now.took_ns)}"
    )


def summary(soaked: Soaked) -> str:
    """Return the lines of all of a load."""
    tick, seconds, shares = soaked.tick, soaked.seconds, soaked.shares
    million = max(tick.accepted, 1) / 1e6
    cpu_s = {name: share * seconds / million for name, share in shares.items()}
    entries = [sum(each.entries) for each in soaked.samples]
    oldest_ns = [max(each.oldest_s) * 1e9 for each in soaked.samples]
    memory = sum(node.memory_bytes for node in soaked.nodes)
    stuck = where_stuck(soaked)
    return "\n".join(
        (
            f"sent {tick.sent / seconds:,.0f} messages/s of {tick.due / seconds:,.0f} due, "
            f"for {seconds:.0f} s; {tick.errors} errors; drained in {soaked.drain_s:.2f} s",
            f"backlog, entries: {_of(entries, '{:,.0f}'.format)}",
            f"backlog, oldest: {_of(oldest_ns, shown)}",
            f"POST from when it was due: {in_words(tick.took_ns)}",
            f"query of a median: {in_words(soaked.queries.took_ns)}",
            f"CPU s per million messages: {_named(cpu_s)}; all together {sum(cpu_s.values()):.2f}",
            f"of a core: {_named(shares)}; all {os.cpu_count()} cores, by anybody: "
            f"{soaked.busy:.0%}",
            f"Redis: {memory / 1e6:.1f} MB more than before",
            f"kept up: {'no' if stuck else 'yes'}",
            *(f"  {reason}" for reason in (*stuck, *where_full(soaked))),
        )
    )


def where_stuck(soaked: Soaked) -> list[str]:
    """Return why a load was not kept up with; nothing if it was."""
    found = []
    if soaked.tick.sent < KEPT_UP * soaked.tick.due:
        left = soaked.tick.due - soaked.tick.sent
        found.append(f"{left:,} messages were not sent: no connection was free for them")
    if soaked.behind_s > BEHIND_MAX_S:
        found.append(
            f"the backlog grows: {soaked.waiting:,} messages at the end, {soaked.behind_s:.1f} s "
            "of the worker's time"
        )
    return found


def where_full(soaked: Soaked) -> list[str]:
    """Return what stands against a higher rate: who has a core, or that there are no more."""
    shares = soaked.shares
    found = [f"{name} has {of:.0%} of a core" for name, of in shares.items() if of >= FULL]
    if soaked.busy >= FULL:
        most = max(shares, key=lambda name: shares[name])
        found.append(
            f"the cores are {soaked.busy:.0%} busy: these processes have "
            f"{sum(shares.values()):.2f} of them, {most} the most with {shares[most]:.2f}; all "
            "else is other programs"
        )
    return found


def spread(soaked: Soaked) -> str:
    """Return how the work lay over the nodes and the partitions, and the backlog over these.

    The partition of the first key, which may be a hot one, is shown beside all others.
    """
    nodes, hot, appended = soaked.nodes, soaked.hot_partition, sum(soaked.appended)
    per_s = appended / (soaked.seconds + soaked.drain_s)
    full_at_per_s = appended / max(*(node.cpu_s for node in nodes), 1e-9)
    others = [number for number in range(len(soaked.appended)) if number != hot]
    shares = [messages / max(appended, 1) for messages in soaked.appended]
    hot_ns = [each.oldest_s[hot] * 1e9 for each in soaked.samples]
    others_ns = [max(each.oldest_s[n] for n in others) * 1e9 for each in soaked.samples]
    return (
        f"{per_s:,.0f} messages/s counted; the busiest node would fill a core at "
        f"{full_at_per_s:,.0f} messages/s\n"
        f"partition {hot}, of the first key, has {shares[hot]:.1%} of the messages, the others "
        f"{min(shares[n] for n in others):.1%} to {max(shares[n] for n in others):.1%}\n"
        f"its oldest entry: {_of(hot_ns, shown)}; of the others: {_of(others_ns, shown)}\n"
        f"{nodes_table(nodes)}"
    )


def nodes_table(nodes: Sequence[NodeWork]) -> str:
    """Return which part of all work each node did, and the greatest part by the mean."""
    columns = [[of(node) for node in nodes] for of in _NODES.values()]
    rows = [
        (f"node {i + 1}", *(f"{each[i] / (sum(each) or 1):.1%}" for each in columns))
        for i in range(len(nodes))
    ]
    rows.append(("most to mean", *(f"{most_to_mean(each):.2f}" for each in columns)))
    return tabulate(rows, ("share of", *_NODES), disable_numparse=True)


def _of(numbers: Sequence[float], show: Callable[[float], str]) -> str:
    return in_words(Quantiles.of(numbers) if numbers else None, show)


def _named(numbers: Mapping[str, float]) -> str:
    return " ".join(f"{name} {number:.2f}" for name, number in numbers.items())
