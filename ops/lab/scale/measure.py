"""Measures all components, one after the other, each with a Redis of its own."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ops.lab.machine import described
from ops.lab.scale.components.collector import SHAPES, CollectorFigures, measure_collector
from ops.lab.scale.components.query import measure_query
from ops.lab.scale.components.streams import StreamFigures, measure_streams
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
        **fields_of(collector),
        **fields_of(streams),
        query_s=query_s,
        query_redis_s=query_redis_s,
    )


def fields_of(figures: CollectorFigures | StreamFigures) -> dict[str, Any]:
    """Return the figures of a component, by their names."""
    return {each.name: getattr(figures, each.name) for each in fields(figures)}
