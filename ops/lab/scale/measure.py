"""Measures all components, one after the other, each with a Redis of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.lab.bench.ingest.machine import described
from ops.lab.scale.components.collector import SHAPES, measure_collector
from ops.lab.scale.components.query import measure_query
from ops.lab.scale.components.streams import measure_streams
from ops.lab.scale.figures import Figures
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server

SECONDS = 3.0
"""Of load, each shape; kinds of work on the streams get a part of it."""

_KINDS_PART = 0.2


def measure(seconds: float = SECONDS, shapes: Sequence[str] = SHAPES) -> Figures:
    """Measure the components of the machine at hand.

    Args:
        seconds: Of load, each shape.
        shapes: Shapes of requests that the collector is measured with.
    """
    with _redis() as (server, _):
        streams = measure_streams(server, seconds * _KINDS_PART)
    with _redis() as (server, folder):
        collector = measure_collector(server, folder, seconds, shapes)
    with _redis() as (server, folder):
        query_s, query_redis_s = measure_query(server, folder, seconds)
    return Figures(
        machine=described(),
        collector_s=collector.collector_s,
        sender_s=collector.sender_s,
        wire_bytes=collector.wire_bytes,
        requests_per_trip=collector.requests_per_trip,
        append_redis_s=streams.append_redis_s,
        append_bytes=streams.append_bytes,
        fold_redis_s=streams.fold_redis_s,
        fold_worker_s=streams.fold_worker_s,
        fold_bytes=streams.fold_bytes,
        query_s=query_s,
        query_redis_s=query_redis_s,
        key_hour_bytes=streams.key_hour_bytes,
        backlog_bytes=streams.backlog_bytes,
        mark_bytes=streams.mark_bytes,
    )


@contextmanager
def _redis() -> Iterator[tuple[EmbeddedRedis, Path]]:
    with TemporaryDirectory(prefix="scale-") as folder:
        server = EmbeddedRedis(find_server(), port=free_port(), folder=Path(folder)).start()
        try:
            yield server, Path(folder)
        finally:
            server.stop()
