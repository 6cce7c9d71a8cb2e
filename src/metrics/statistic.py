"""The statistics that can be asked of a key-hour, by their names in a URL."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from metrics.aggregate import Aggregate
from metrics.errors import InvalidQueryError
from metrics.message import shown

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)", re.ASCII)
_SHARE = re.compile(r"(under|over)(\d{1,300}(?:\.\d{1,20})?)", re.ASCII)
_EXACT: dict[str, Callable[[Aggregate], float]] = {
    "average": lambda aggregate: aggregate.average,
    "min": lambda aggregate: aggregate.min,
    "max": lambda aggregate: aggregate.max,
    "count": lambda aggregate: aggregate.count,
    "sum": lambda aggregate: aggregate.sum,
}
_SUMMARY = ("sum", "average", "min", "max", "median", "p90", "p95", "p99", "p99.9")
"""What a summary has beside the count, and a histogram beside the count and the buckets."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """What can be asked of an aggregate.

    Attributes:
        members: Returns what the answer says, by its names; of an aggregate that has messages.
        names: These names.
        is_estimate: Whether it is within 1 %, and not exact.
    """

    members: Callable[[Aggregate], Mapping[str, object]]
    names: tuple[str, ...] = ("value",)
    is_estimate: bool = False


def parse_statistic(name: str) -> Statistic:
    """Return the statistic of that name.

    Raises:
        InvalidQueryError: If there is none.
    """
    if name == "summary":
        return _summary()
    if name == "histogram":
        summary = _summary()
        return replace(
            summary,
            members=lambda aggregate: {
                **summary.members(aggregate),
                "buckets": aggregate.buckets(),
            },
            names=(*_SUMMARY, "buckets"),
        )
    share = _SHARE.fullmatch(name)
    if share:
        return _share(share[1], float(share[2]))
    number = _number(name)
    if number is None:
        raise InvalidQueryError(
            "stat must be one of average, min, max, median, count, sum, summary, histogram; a "
            "percentile from p0 to p100 such as p99.9; or a share such as under300 or over1.5; "
            f"got {shown(name)}"
        )
    compute, is_estimate = number
    return Statistic(lambda aggregate: {"value": compute(aggregate)}, is_estimate=is_estimate)


def _number(name: str) -> tuple[Callable[[Aggregate], float], bool] | None:
    """Return what computes a number, and whether it is an estimate."""
    if name in _EXACT:
        return _EXACT[name], False
    if name == "median":
        name = "p50"
    percentile = _PERCENTILE.fullmatch(name)
    if percentile is None or float(percentile[1]) > 100:
        return None
    q = float(percentile[1]) / 100
    return (lambda aggregate: aggregate.quantile(q)), 0 < q < 1


def _share(side: str, limit: float) -> Statistic:
    def share(aggregate: Aggregate) -> Mapping[str, object]:
        at_most = aggregate.share_at_most(limit)
        return {"value": at_most if side == "under" else 1 - at_most}

    return Statistic(share, is_estimate=True)


def _summary() -> Statistic:
    numbers = {name: found[0] for name in _SUMMARY if (found := _number(name))}

    def summary(aggregate: Aggregate) -> Mapping[str, object]:
        return {name: compute(aggregate) for name, compute in numbers.items()}

    return Statistic(summary, _SUMMARY, is_estimate=True)
