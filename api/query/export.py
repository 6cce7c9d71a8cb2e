"""``GET /export/prometheus``: the last complete hour of each key, as Prometheus text.

Source:
    Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from collections.abc import Callable

import falcon
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api.access import Access
from api.query.parameters import check_parameters, check_prefix
from api.time_slices import TimeSlices
from metrics.admission import Admission
from metrics.aggregate import Aggregate
from metrics.hours import Hour
from metrics.last_hours import LastHours

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)

_HEADS = {
    "metrics_key_hour": (
        "summary",
        "Values of a key in its last complete hour: of that hour alone, so no rate() of them.",
    ),
    "metrics_key_hour_min": ("gauge", "The smallest value of that hour."),
    "metrics_key_hour_max": ("gauge", "The largest value of that hour."),
    "metrics_key_hour_start_seconds": ("gauge", "When that hour began, in Unix seconds."),
}
"""Family -> its type and its help, in their order."""


class Export:
    """``/export/prometheus``: count, sum, min, max and quantiles of each key.

    Args:
        last_hours: Finds them.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
        admission: What it is done in; waits until there is room, or raises.
        now: The clock by which an hour is over, in Unix seconds.
        slices: In which it works.
    """

    def __init__(
        self,
        last_hours: LastHours,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
        admission: Admission,
        now: Callable[[], float],
        slices: TimeSlices,
    ) -> None:
        self._last_hours = last_hours
        self._access = access
        self._ensure_layout = ensure_layout
        self._admission = admission
        self._now = now
        self._slices = slices

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the series of the keys that the request's token covers.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        prefix = check_prefix(check_parameters(req.params, "prefix").get("prefix", ""))
        prefixes = grant.within(prefix)
        self._ensure_layout()
        families: dict[str, list[str]] = {
            name: [f"# HELP {name} {text}\n# TYPE {name} {kind}\n"]
            for name, (kind, text) in _HEADS.items()
        }
        with self._admission:
            self._slices.start()
            for key, hour, aggregate in self._last_hours.read(prefixes, self._now()):
                for name, text in _samples(key, hour, aggregate).items():
                    families[name].append(text)
                self._slices.pause_if_due()
        resp.text = "".join(text for family in families.values() for text in family)
        resp.content_type = CONTENT_TYPE_PLAIN_0_0_4
        resp.cache_control = ["no-store"]

    on_head = on_get


def _samples(key: str, hour: Hour, aggregate: Aggregate) -> dict[str, str]:
    """Return the lines of a key, by family."""
    label = f'key="{_escaped(key)}"'

    def line(name: str, value: float, more: str = "") -> str:
        return f"{name}{{{label}{more}}} {value!r}\n"

    quantiles = [
        line("metrics_key_hour", aggregate.quantile(q), f',quantile="{q}"') for q in QUANTILES
    ]
    total = line("metrics_key_hour_sum", aggregate.sum)
    count = line("metrics_key_hour_count", aggregate.count)
    of_each = {"min": aggregate.min, "max": aggregate.max, "start_seconds": hour.start}
    return {
        "metrics_key_hour": "".join([*quantiles, total, count]),
        **{
            f"metrics_key_hour_{name}": line(f"metrics_key_hour_{name}", value)
            for name, value in of_each.items()
        },
    }


def _escaped(text: str) -> str:
    """Return a text as the value of a label has it; somebody may have written keys by hand."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
