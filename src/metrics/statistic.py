"""The statistics that can be asked of a key-hour, by their names in a URL."""

import re
from collections.abc import Callable

from metrics.aggregate import Aggregate
from metrics.errors import InvalidQueryError
from metrics.message import shown

Statistic = Callable[[Aggregate], float]

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)", re.ASCII)
_NAMED: dict[str, Statistic] = {
    "average": lambda aggregate: aggregate.average,
    "min": lambda aggregate: aggregate.min,
    "max": lambda aggregate: aggregate.max,
    "median": lambda aggregate: aggregate.quantile(0.5),
    "count": lambda aggregate: aggregate.count,
    "sum": lambda aggregate: aggregate.sum,
}


def parse_statistic(name: str) -> Statistic:
    """Return what computes the statistic of that name.

    Raises:
        InvalidQueryError: If there is none.
    """
    if name in _NAMED:
        return _NAMED[name]
    percentile = _PERCENTILE.fullmatch(name)
    if percentile and float(percentile[1]) <= 100:
        q = float(percentile[1]) / 100
        return lambda aggregate: aggregate.quantile(q)
    raise InvalidQueryError(
        f"stat must be one of {', '.join(_NAMED)}, or a percentile from p0 to p100 such as p99.9, "
        f"got {shown(name)}"
    )
