"""``GET /metrics`` of both services: what they count, as Prometheus text.

All processes of a service count in memory that they share, so whichever is scraped answers for
all. No series names a key, so this asks for no token, as ``/healthz`` does not.

Source:
    Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import product
from time import monotonic
from typing import Any, Protocol

import falcon
from falcon.routing import CompiledRouter
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from api.self_times import SelfTimes
from metrics.instruments import Count, Histogram
from metrics.shared_cells import SharedCells

NO_ROUTE = "none"
"""The route of a request whose path is no route, or that was refused before that was looked at."""

PROBES = ("/healthz", "/readyz", "/metrics")
"""Routes that are asked all the time, and count neither as requests nor in latencies."""

_STATUSES = tuple(str(status.value) for status in HTTPStatus)


class Router(CompiledRouter):
    """falcon's router, which also knows what routes it has.

    falcon.inspect finds them as well, and reads the source of each handler for that.

    Attributes:
        templates: Of all routes, in the order in which they were added.
    """

    def __init__(self) -> None:
        super().__init__()
        self.templates: list[str] = []

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:  # noqa: ANN401
        """Add a route, and note it."""
        super().add_route(uri_template, resource, **options)
        self.templates.append(uri_template)


class Series(Protocol):
    """Yields series at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield them."""


class RequestSeries:
    """Counts what a service answers, by route and status, and how long each took.

    It is a middleware of falcon; who answers without falcon calls ``count``. Safe for greenlets:
    nothing here waits.

    Args:
        service: Its name, in the names of the series.
        cells: Where it counts.
        routes: All routes that there are.
        self_times: Records how long requests took, if that is wanted.
    """

    def __init__(
        self,
        service: str,
        cells: SharedCells,
        routes: Sequence[str],
        self_times: SelfTimes | None = None,
    ) -> None:
        counted = [NO_ROUTE, *(route for route in routes if route not in PROBES)]
        self._counted = frozenset(counted)
        self._self_times = self_times
        self._requests = Count(
            cells,
            f"metrics_{service}_requests",
            "Requests that were answered, by route and status.",
            labels=["route", "status"],
            label_sets=product(counted, _STATUSES),
            shows_zeros=False,
        )
        self._seconds = Histogram(
            cells,
            f"metrics_{service}_request_seconds",
            "How long requests took, from the head to the answer, by route.",
            label="route",
            label_values=counted,
        )

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note when a request began."""
        req.context.began = monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count an answer, good or bad, as falcon is about to give it."""
        route = req.uri_template or NO_ROUTE
        self.count(route, resp.status_code, [monotonic() - req.context.began])

    def count(self, route: str, status: int, seconds: Sequence[float]) -> None:
        """Count answers of one kind.

        Args:
            route: Their route.
            status: Their status.
            seconds: How long each took.
        """
        if self._self_times is not None:
            self._self_times.record(seconds)
        if route in self._counted:
            self._requests.add(len(seconds), (route, str(status)))
            self._seconds.observe_all(seconds, route)

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        yield from self._requests.collect()
        yield from self._seconds.collect()


class Exposition:
    """``/metrics``: the series of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the series.

        Raises:
            MetricsError: If Redis is another's.
        """
        resp.data = generate_latest(self._registry)
        resp.content_type = CONTENT_TYPE_PLAIN_0_0_4


def add_exposition(
    app: falcon.App[Any, Any],
    router: Router,
    service: str,
    cells: SharedCells,
    series: Sequence[Series],
    self_times: SelfTimes | None = None,
) -> RequestSeries:
    """Give an app ``/metrics``, let it count its answers, and return what counts them.

    Args:
        app: Of one service, with all of its routes.
        router: The app's.
        service: Its name, in the names of the series.
        cells: Where it counts.
        series: What else it shows.
        self_times: Records how long requests took, if that is wanted.
    """
    registry = CollectorRegistry(auto_describe=False)
    app.add_route("/metrics", Exposition(registry))
    requests = RequestSeries(service, cells, router.templates, self_times)
    for each in (requests, *series):
        registry.register(each)
    app.add_middleware(requests)
    return requests


class Refusals:
    """Counts what the server of a service refuses before any of its routes is asked.

    Args:
        service: Its name, in the names of the series.
        cells: Where it counts.
    """

    def __init__(self, service: str, cells: SharedCells) -> None:
        self.connections = Count(
            cells,
            f"metrics_{service}_connections_refused",
            "Connections that were one too many of their address "
            "(METRICS_CONNECTIONS_PER_ADDRESS).",
        )
        self.bodies = Count(
            cells,
            f"metrics_{service}_bodies_refused",
            "Bodies for which there was no room beside all others (METRICS_BODIES_BYTES_MAX).",
        )

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        yield from self.connections.collect()
        yield from self.bodies.collect()
