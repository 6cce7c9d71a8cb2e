"""``GET /metrics`` of both services: what they count, as Prometheus text.

What a process answered it counts in its memory. With ``WEB_CONCURRENCY``
above 1 a scrape reaches any one process of the service, so those series say which it was, in the
label ``process``: none ever jumps to the count of another. But a scraper that keeps its connection
stays with one process, and sees its share only; to see all, start several services of one
process each, on ports of their own.

No series names a key, so this asks for no token, as ``/healthz`` does not.

Source:
    Prometheus, "Exposition formats", text-based format 0.0.4.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import falcon
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry


class RequestCounters:
    """Counts what a resource answers: a middleware of falcon, a collector of prometheus_client.

    Safe for greenlets: nothing here waits. Probes and scrapes do not count, paths that are no route
    do.

    Args:
        service: Its name, in the names of the series.
        resource: The resource whose answers count.
        counters: Name -> help text. The resource sets ``req.context.<name>`` to the number of the
            request's messages.
    """

    def __init__(
        self, service: str, resource: object, *, counters: Mapping[str, str] | None = None
    ) -> None:
        self._service = service
        self._resource = resource
        self._requests: Counter[int] = Counter()
        self._counters = counters or {}
        self._messages = dict.fromkeys(self._counters, 0)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count an answer, good or bad, as falcon is about to give it."""
        if resource is self._resource or resource is None:
            self.count(resp.status_code, req.context)

    def count(self, status: int, counters: object) -> None:
        """Count an answer.

        Args:
            status: Its status.
            counters: Has as attributes what became of its messages.
        """
        self._requests[status] += 1
        for outcome in self._messages:
            self._messages[outcome] += getattr(counters, outcome, 0)

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        process = str(os.getpid())
        requests = CounterMetricFamily(
            f"metrics_{self._service}_requests",
            "Requests that this process answered, by status.",
            labels=["process", "status"],
        )
        for status, count in sorted(self._requests.items()):
            requests.add_metric([process, str(status)], count)
        yield requests
        for outcome, count in self._messages.items():
            messages = CounterMetricFamily(
                f"metrics_{self._service}_messages_{outcome}",
                f"{self._counters[outcome]}; repetitions count again.",
                labels=["process"],
            )
            messages.add_metric([process], count)
            yield messages


class Series(Protocol):
    """Yields series at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield them."""


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
    app: falcon.App[Any, Any], request_counters: RequestCounters, more: Series | None = None
) -> None:
    """Let an app count its answers, and give it ``/metrics``.

    Args:
        app: Of one service.
        request_counters: Counts its answers.
        more: What else the service shows.
    """
    registry = CollectorRegistry()
    registry.register(request_counters)
    if more is not None:
        registry.register(more)
    app.add_middleware(request_counters)
    app.add_route("/metrics", Exposition(registry))
