"""Measures all components, one after the other, each with a Redis of its own."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.lab.machine import described
from ops.lab.scale.components.collector import SHAPES, measure_collector
from ops.lab.scale.components.query import measure_query
from ops.lab.scale.components.streams import measure_streams
from ops.lab.scale.figures import Figures
from ops.lab.system import embedded_redis

SECONDS = 3.0
"""Of load, each shape; kinds of work on the streams get a part of it."""

_KINDS_PART = 0.2


def measure(seconds: float = SECONDS, shapes: Sequence[str] = SHAPES) -> Figures:
    """Measure the components of the machine at hand.

    Args:
        seconds: Of load, each shape.
        shapes: Shapes of requests that the collector is measured with.
    """
    with embedded_redis() as server:
        streams = measure_streams(server, seconds * _KINDS_PART)
    with embedded_redis() as server, TemporaryDirectory(prefix="scale-") as logs:
        collector = measure_collector(server, Path(logs), seconds, shapes)
    with embedded_redis() as server, TemporaryDirectory(prefix="scale-") as logs:
        query_s, query_redis_s = measure_query(server, Path(logs), seconds)
    return Figures(
        machine=described(),
        **collector,
        **streams,
        query_s=query_s,
        query_redis_s=query_redis_s,
    )
