"""The query service by itself: one key-hour after the other, each with all of its buckets."""

from pathlib import Path
from time import time

from metrics.connection import Connection
from metrics.hours import Hour
from ops.lab.cpu import CpuUse, exact_seconds
from ops.lab.key_hours import aggregate_of, write_key_hour
from ops.lab.load.messages import SIGMA
from ops.lab.load.plan import Load, Plan
from ops.lab.scale.components.workbench import WARM_VALUES
from ops.lab.scale.figures import PARTITIONS
from ops.lab.service import START_TIMEOUT_S, Service
from ops.lab.system import path_of
from ops.local.redis_server import EmbeddedRedis

QUERIES_PER_S, CONNECTIONS = 200.0, 4
_KEY = "queried.web-1"


def measure_query(server: EmbeddedRedis, folder: Path, seconds: float) -> tuple[float, float]:
    """Return the CPU seconds of a query, in the query service and in Redis.

    Args:
        server: A Redis that is up.
        folder: Where it logs.
        seconds: Of queries.
    """
    hour = Hour.of(time())
    connection = Connection.open(server.url, timeout_s=10.0, connections_max=1)
    write_key_hour(connection, PARTITIONS, _KEY, hour, aggregate_of(WARM_VALUES, SIGMA))
    connection.close()
    service = Service("query", server.url, folder / "query.log", WEB_CONCURRENCY="1")
    try:
        service.launch()
        service.wait_until_ready(START_TIMEOUT_S)
        if service.process is None or server.process is None:
            raise RuntimeError("the query service or its Redis is not up")
        query, redis = {"query": service.process.pid}, server.process.pid
        used, redis_begun_s = CpuUse.of(query), exact_seconds(redis)
        plan = Plan(
            port=service.port,
            paths=[f"/{_KEY}/median/{path_of(hour)}"],
            has_keys=False,
            messages_per_s=QUERIES_PER_S,
            connections=CONNECTIONS,
            seconds=seconds,
        )
        with Load(plan) as load:
            sent = load.last().sent
        query_s = CpuUse.of(query).seconds_since(used)["query"]
        redis_s = exact_seconds(redis) - redis_begun_s
    finally:
        service.kill()
    return query_s / sent, redis_s / sent
