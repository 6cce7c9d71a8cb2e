"""The figures that the model is fed with, measured on one machine, and the file they lie in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import msgspec

from ops.lab.scale.prices import LinearCost, Prices

PARTITIONS = 16
"""With so many a worker's round was measured; a round reads each of them."""

REFERENCE = Path(__file__).with_name("reference.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What units of work cost on one machine; CPU seconds of the process that does the work.

    Attributes:
        machine: Date and machine.
        collector_s: Shape -> a request at the collector.
        sender_s: Shape -> a request at wrk; where the load comes from the same machine.
        wire_bytes: Shape -> a request and its answer, without what TCP and IP add.
        requests_per_trip: Shape -> requests that one round trip of a busy collector appends.
        append_redis_s: Redis: ``trip``, ``call``, ``entry``, ``column``, ``message``, ``mark``.
        append_bytes: The same units, over the wire between collector and Redis.
        fold_redis_s: Redis: ``round``, ``commit``, ``entry``, ``key-hour``, ``message``,
            ``bucket``.
        fold_worker_s: The same units, in the worker.
        fold_bytes: The same units, over the wire between Redis and worker.
        query_s: The query service, a key-hour.
        query_redis_s: Redis, for that.
        key_hour_bytes: Buckets of a key-hour -> its size, from few to many.
        backlog_bytes: ``entry`` and ``message``, in a stream.
        mark_bytes: What one idempotency key leaves behind until it expires.
    """

    machine: str
    collector_s: Mapping[str, LinearCost]
    sender_s: Mapping[str, LinearCost]
    wire_bytes: Mapping[str, LinearCost]
    requests_per_trip: Mapping[str, float]
    append_redis_s: Prices
    append_bytes: Prices
    fold_redis_s: Prices
    fold_worker_s: Prices
    fold_bytes: Prices
    query_s: float
    query_redis_s: float
    key_hour_bytes: Mapping[int, float]
    backlog_bytes: Prices
    mark_bytes: float

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read figures from a file.

        Raises:
            ValueError: If it holds none; with what to do.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(
                f"{path} holds no figures ({error}): python -m ops.lab.scale measure {path}"
            ) from error

    def write(self, path: Path) -> None:
        """Write figures into a file, to four digits: more is noise."""
        path.write_text(json.dumps(_rounded(asdict(self)), indent=2) + "\n", "utf-8")


def _rounded(told: object) -> object:
    if isinstance(told, float):
        return float(f"{told:.4g}")
    if isinstance(told, dict):
        return {name: _rounded(each) for name, each in told.items()}
    return told
