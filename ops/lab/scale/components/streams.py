"""Redis and the worker, each by itself: from work of several kinds the price of each unit."""

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from metrics.aggregate import Aggregate
from metrics.buckets import value_of
from ops.lab.scale.components.workbench import Kind, Spent, Workbench
from ops.lab.scale.prices import Counts, fit
from ops.local.redis_server import EmbeddedRedis

KINDS = (
    Kind(is_alone=True),
    Kind(),
    Kind(messages=100),
    Kind(messages=1000),
    Kind(keys=20, batches=20),
    Kind(batches=4, messages=1000),
    Kind(batches=20, is_marked=True),
    Kind(keys=20, batches=20, messages=10, is_marked=True),
)
"""Enough of them to tell all units apart."""

_FEW, _MANY = Kind(), Kind(messages=1000)
_BUCKETS = (1, 10, 100, 300, 500, 520, 1000)
"""A hash of more than 512 fields is a table, and several times as large."""

_COUNT = 1000

_MARKED = Kind(batches=20, is_marked=True)
_APPENDS = 50
"""Of the same kind, where one alone would be lost in what Redis sets aside."""


def measure_streams(server: EmbeddedRedis, seconds: float) -> dict[str, Any]:
    """Measure Redis and the worker's code.

    Args:
        server: A Redis that is up and empty.
        seconds: Of work, each kind.

    Returns:
        Its part of ``Figures``, by name.
    """
    bench = Workbench(server)
    appended: list[Spent] = []
    folded = _again(lambda: [bench.fold(None)], seconds)
    append_bytes: list[tuple[Counts, float]] = []
    fold_bytes = [_wire_bytes(bench, partial(bench.fold, None))]
    for kind in KINDS:
        append_bytes.append(_wire_bytes(bench, partial(bench.append, kind)))
        fold_bytes.append(_wire_bytes(bench, partial(bench.fold, kind)))
        work = partial(_append_and_fold, bench, kind)
        appends, folds = _again(work, seconds)
        appended.append(appends)
        folded.append(folds)
    found = {
        "append_redis_s": fit([(each.counts, each.redis_s) for each in appended]),
        "append_bytes": fit(append_bytes),
        "fold_redis_s": fit([(each.counts, each.redis_s) for each in folded]),
        "fold_worker_s": fit([(each.counts, each.own_s) for each in folded]),
        "fold_bytes": fit(fold_bytes),
        "key_hour_bytes": _key_hour_bytes(bench),
        "backlog_bytes": _backlog_bytes(bench),
        "mark_bytes": _mark_bytes(bench),
    }
    bench.close()
    return found


def _append_and_fold(bench: Workbench, kind: Kind) -> list[Spent]:
    return [bench.append(kind), bench.fold(kind)]


def _again(work: Callable[[], Sequence[Spent]], seconds: float) -> list[Spent]:
    """Do work for so long; return what each kind of it has cost in all."""
    found = [*work()]
    give_up = monotonic() + seconds
    while monotonic() < give_up:
        found = [so_far.and_also(more) for so_far, more in zip(found, work(), strict=True)]
    return found


def _wire_bytes(bench: Workbench, work: Callable[[], Spent]) -> tuple[Counts, float]:
    """Return the counts of some work, and the bytes that it moved, without those of a look."""
    first, second = bench.wire_bytes(), bench.wire_bytes()
    counts = work().counts
    return counts, bench.wire_bytes() - second - (second - first)


def _key_hour_bytes(bench: Workbench) -> dict[int, float]:
    """Return buckets -> bytes of key-hours, from a few to more than a listpack holds."""
    found: dict[int, float] = {}
    for buckets in _BUCKETS:
        values = [value_of(bucket) for bucket in range(1, buckets + 1)]
        name = bench.hour_of(f"size-{buckets}", Aggregate.of(values, [_COUNT] * buckets))
        found[buckets] = bench.size_of(name)
    return found


def _backlog_bytes(bench: Workbench) -> dict[str, float]:
    sizes: list[tuple[Counts, float]] = []
    for kind in (_FEW, _MANY):
        before = bench.streams_bytes()
        counts = [bench.append(kind).counts for _ in range(_APPENDS)]
        entries, messages = (sum(each[unit] for each in counts) for unit in ("call", "message"))
        sizes.append(({"entry": entries, "message": messages}, bench.streams_bytes() - before))
        bench.fold(kind)
    return fit(sizes)


def _mark_bytes(bench: Workbench) -> float:
    """Return what a mark leaves behind once its entry is committed."""
    before = bench.memory_bytes()
    marks = 0.0
    for _ in range(_APPENDS):
        marks += bench.append(_MARKED).counts["mark"]
        bench.fold(_MARKED)
    return (bench.memory_bytes() - before) / marks
