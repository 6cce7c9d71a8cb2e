"""The collector by itself: one process that appends, under a load that keeps it busy.

No worker runs. The connections are those of one of two processes in ``ops.lab.bench.ingest``: the
more requests are under way, the more of them share a round trip, and the colder the caches are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metrics.keyspace import partition_of
from ops.lab.bench.ingest.systems import Ours
from ops.lab.bench.ingest.workload import COLUMNS, SINGLE
from ops.lab.bench.ingest.wrk import send
from ops.lab.cpu import CpuUse
from ops.lab.load.plan import Load, Plan
from ops.lab.load.posts import posts_of
from ops.lab.scale.figures import PARTITIONS
from ops.lab.scale.prices import LinearCost
from ops.lab.scale.spread import draws_for
from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.redis_server import EmbeddedRedis

ANSWER_BYTES = 190
"""An answer of the collector, head and all."""

SENT_BY_WRK = {"single": SINGLE, "columns": COLUMNS}
SHAPES = (*SENT_BY_WRK, "client")
PROCESSES = 2
CLIENT_CONNECTIONS = 32

_FEW, _MANY = 10, 1000

Found = dict[str, dict[str, Any]]
"""Name of a figure -> shape -> what was measured."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """What requests cost, each on average."""

    messages: int
    cpu_s: float
    wire_bytes: float
    requests_per_trip: float


def measure_collector(
    server: EmbeddedRedis, folder: Path, seconds: float, shapes: Sequence[str] = SHAPES
) -> dict[str, Any]:
    """Measure one collector process.

    Args:
        server: A Redis that is up and empty.
        folder: Where it logs.
        seconds: Of load, each shape.
        shapes: Which to measure.

    Returns:
        Its part of ``Figures``, by name.
    """
    service = Service("collector", server.url, folder / "collector.log", WEB_CONCURRENCY="1")
    found: Found = {
        name: {} for name in ("collector_s", "sender_s", "wire_bytes", "requests_per_trip")
    }
    try:
        service.launch()
        service.wait_until_ready(START_TIMEOUT_S)
        for shape in shapes:
            if shape == "client":
                _by_clients(service, server, seconds, found)
            else:
                _by_wrk(service, server, shape, seconds, found)
    finally:
        service.kill()
    return found


def _by_wrk(
    service: Service, server: EmbeddedRedis, shape: str, seconds: float, found: Found
) -> None:
    """Send a shape with wrk; add what comes of it."""
    workload = SENT_BY_WRK[shape]
    share = replace(workload, connections=workload.connections // PROCESSES)
    (form,) = Ours.forms[share.shape]
    meter = _Meter(service, server)
    sent = send(service.port, share, form, seconds)
    if sent.errors or not sent.requests:
        raise RuntimeError(f"the collector answered {sent.errors} requests without success")
    sizes = [
        len(request.under(""))
        for request in posts_of(
            "single" if shape == "single" else "columns", share.keys(form), share.batch, 0.0
        )
    ]
    cost = meter.cost(share.batch, sent.requests, sizes, share.keys(form))
    found["collector_s"][shape] = LinearCost(cost.cpu_s, 0.0)
    found["sender_s"][shape] = LinearCost(sent.cpu_s / sent.requests, 0.0)
    found["wire_bytes"][shape] = LinearCost(cost.wire_bytes, 0.0)
    found["requests_per_trip"][shape] = cost.requests_per_trip


def _by_clients(service: Service, server: EmbeddedRedis, seconds: float, found: Found) -> None:
    """Send what our client library sends, small and large; add what comes of it."""
    few, many = (_of_clients(service, server, messages, seconds) for messages in (_FEW, _MANY))
    found["collector_s"]["client"] = LinearCost.through(
        (few.messages, few.cpu_s), (many.messages, many.cpu_s)
    )
    found["wire_bytes"]["client"] = LinearCost.through(
        (few.messages, few.wire_bytes), (many.messages, many.wire_bytes)
    )
    found["requests_per_trip"]["client"] = few.requests_per_trip


def _of_clients(service: Service, server: EmbeddedRedis, messages: int, seconds: float) -> _Cost:
    plan = Plan(
        port=service.port,
        app="client",
        batch=messages,
        connections=CLIENT_CONNECTIONS,
        seconds=seconds,
    )
    posts = posts_of("client", plan.key_names, messages, time.time())
    meter = _Meter(service, server)
    with Load(plan) as load:
        last = load.last()
    requests = sum(last.statuses.values())
    if last.errors or not requests:
        raise RuntimeError(f"the collector answered {last.statuses}")
    return meter.cost(
        messages, requests, [len(post.under("x" * 24)) for post in posts], plan.key_names
    )


class _Meter:
    """Looks at a collector from its making on."""

    def __init__(self, service: Service, server: EmbeddedRedis) -> None:
        self._service = service
        self._server = server
        self._begin = self._look()

    def cost(
        self, messages: int, requests: int, sizes: Sequence[int], keys: Sequence[str]
    ) -> _Cost:
        """Return what so many requests of these sizes and keys have cost.

        The more requests shared a round trip, the fewer calls of scripts has each; a batch that
        has an idempotency key is registered first, by a plain command.
        """
        cpu_s, calls = (now - then for now, then in zip(self._look(), self._begin, strict=True))
        places = len({partition_of(key, PARTITIONS) for key in keys})
        return _Cost(
            messages,
            cpu_s / requests,
            sum(sizes) / len(sizes) + ANSWER_BYTES,
            draws_for(places, min(1.0, calls / requests)),
        )

    def _look(self) -> tuple[float, float]:
        if self._service.process is None:
            raise RuntimeError("the collector was not started")
        used = CpuUse.of({"collector": self._service.process.pid})
        with self._server.client() as client:
            calls = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
        return used.seconds["collector"], calls
