"""How the spread of the work is shown: a line for each node, and how the backlog fared."""

from collections.abc import Callable, Sequence

from ops.lab.bench.spread.measure import Measured
from ops.lab.bench.spread.node_work import NodeWork, most_to_mean, shares
from ops.lab.bench.sustained.report import three, told

_COLUMNS: tuple[tuple[str, Callable[[NodeWork], float]], ...] = (
    ("partitions", lambda node: node.partitions),
    ("messages", lambda node: node.messages),
    ("commands", lambda node: node.commands),
    ("CPU", lambda node: node.cpu_s),
    ("memory", lambda node: node.memory_bytes),
)
_WIDTH = 12
_NS_PER_S = 1e9


def nodes_table(nodes: Sequence[NodeWork]) -> str:
    """Return which part of all work each node did, and the greatest part by the mean."""
    parts = [shares([of(node) for node in nodes]) for _, of in _COLUMNS]
    lines = [f"{'share of':<14}" + "".join(f"{name:>{_WIDTH}}" for name, _ in _COLUMNS)]
    for i in range(len(nodes)):
        cells = (f"{part[i]:.1%}" for part in parts)
        lines.append(f"{f'node {i + 1}':<14}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells))
    ratios = (f"{most_to_mean([of(node) for node in nodes]):.2f}" for _, of in _COLUMNS)
    lines.append(f"{'most to mean':<14}" + "".join(f"{ratio:>{_WIDTH}}" for ratio in ratios))
    return "\n".join(lines)


def throughput(measured: Measured) -> str:
    """Return how much was counted, and how long POSTs took."""
    took = measured.tick.latencies
    posts = f"; POST p50 {told(took.p50)}, p99 {told(took.p99)}" if took else ""
    cpu_s = sum(node.cpu_s for node in measured.nodes)
    return (
        f"{measured.messages_per_s:,.0f} messages/s counted{posts}; all nodes together "
        f"{cpu_s / measured.seconds:.2f} of a core, the busiest would fill one at "
        f"{measured.full_at_per_s:,.0f} messages/s"
    )


def partitions_told(measured: Measured) -> str:
    """Return how messages lay over the partitions, and how the backlog of the first one fared.

    The first one is that of the first key; the others are told by the oldest of them all.
    """
    hot = measured.hot_partition
    parts = shares(measured.messages)
    others = [number for number in range(len(parts)) if number != hot]
    depths = [look.entries[hot] for look in measured.looks]
    ages = [look.oldest_s[hot] for look in measured.looks]
    of_others = [max(look.oldest_s[number] for number in others) for look in measured.looks]
    deepest = [max(look.entries[number] for number in others) for look in measured.looks]
    return (
        f"  partition {hot}, of the first key, has {parts[hot]:.1%} of the messages, the others "
        f"{min(parts[n] for n in others):.1%} to {max(parts[n] for n in others):.1%}\n"
        f"  its backlog: {three(depths, lambda n: f'{n:,.0f}')} entries, oldest {_aged(ages)}\n"
        f"  the others': {three(deepest, lambda n: f'{n:,.0f}')} entries, oldest "
        f"{_aged(of_others)}"
    )


def _aged(ages_s: Sequence[float]) -> str:
    return three(ages_s, lambda age_s: told(age_s * _NS_PER_S))
