"""The query service by itself: one key-hour after the other, each with all of its buckets."""

import time
from pathlib import Path

from metrics.aggregate import Aggregate
from metrics.hours import Hour
from ops.lab.bench.ingest.cpu import cpu_seconds
from ops.lab.bench.ingest.messages import response_times
from ops.lab.bench.ingest.ours import path_of
from ops.lab.bench.ingest.paced import Pace, Paced, get
from ops.lab.scale.components.redis_usage import cpu_s
from ops.lab.scale.components.workbench import WARM_VALUES, Workbench
from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis

QUERIES_PER_S, CONNECTIONS = 200.0, 4
READY_S = 20.0
_KEY = "queried.web-1"


def measure_query(server: EmbeddedRedis, folder: Path, seconds: float) -> tuple[float, float]:
    """Return the CPU seconds of a query, in the query service and in Redis.

    Args:
        server: A Redis that is up.
        folder: Where it logs, and requests are put.
        seconds: Of queries.
    """
    bench = Workbench(server)
    bench.hour_of(_KEY, Aggregate.of(response_times(WARM_VALUES, seed=3)))
    bench.close()
    service = Service("query", server.url, folder / "query.log", WEB_CONCURRENCY="1")
    try:
        service.launch()
        service.wait_until_ready(READY_S)
        if service.process is None or server.process is None:
            raise RuntimeError("the query service or its Redis is not up")
        roots, redis = {"query": service.process.pid}, server.process.pid
        query_before, redis_before = cpu_seconds(roots)["query"], cpu_s(redis)
        requests = [get(f"/{_KEY}/median/{path_of(Hour.of(time.time()))}")]
        paced = Paced(service.port, requests, Pace(QUERIES_PER_S, CONNECTIONS, seconds), folder)
        sent = paced.result().sent
        query_s, redis_s = cpu_seconds(roots)["query"] - query_before, cpu_s(redis) - redis_before
    finally:
        service.kill()
    return query_s / sent, redis_s / sent
