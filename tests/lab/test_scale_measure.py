"""The benchmarks of the components give every figure, with next to no work."""

from pathlib import Path

import pytest

from metrics.connection import Connection
from ops.lab.scale.components import streams
from ops.lab.scale.components.collector import measure_collector
from ops.lab.scale.components.streams import measure_streams
from ops.lab.scale.components.workbench import Kind, Workbench
from ops.lab.scale.figures import PARTITIONS
from ops.local.redis_server import EmbeddedRedis

pytestmark = pytest.mark.one_server


def test_redis_and_the_worker_give_a_price_for_every_unit(
    redis_server: EmbeddedRedis, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measurement of streams has a price for every unit, and sizes grow with the content."""
    del connection  # it has emptied the server
    monkeypatch.setattr(streams, "_APPENDS", 4)
    found = measure_streams(redis_server, seconds=0.0)

    assert set(found["append_redis_s"]) == {"trip", "call", "column", "message", "mark"}
    for prices in (found["fold_redis_s"], found["fold_worker_s"], found["fold_bytes"]):
        assert set(prices) == {"round", "commit", "entry", "key-hour", "message", "bucket"}
    assert found["append_bytes"]["message"] > 1
    assert found["fold_worker_s"]["round"] > 0
    sizes = [found["key_hour_bytes"][buckets] for buckets in sorted(found["key_hour_bytes"])]
    assert sizes == sorted(sizes)
    assert found["mark_bytes"] > 0
    assert found["backlog_bytes"]["message"] > 1


def test_a_fold_commits_all_that_an_append_left(
    redis_server: EmbeddedRedis, connection: Connection
) -> None:
    """A fold commits as many messages and entries as were appended."""
    del connection
    bench = Workbench(redis_server)
    kind = Kind(keys=2, batches=4, messages=3, is_marked=True)
    appended, folded = bench.append(kind).counts, bench.fold(kind).counts

    assert appended["message"] == folded["message"] == PARTITIONS * 12
    assert folded["entry"] == PARTITIONS * 4
    assert bench.backlog_entries() == 0
    bench.close()


def test_a_collector_gives_what_requests_of_clients_cost(
    redis_server: EmbeddedRedis, connection: Connection, tmp_path: Path
) -> None:
    """A measurement of one collector process has the cost of a request and its bytes."""
    del connection
    found = measure_collector(redis_server, tmp_path, 0.3, ["client"])

    assert found["collector_s"]["client"].request > 0
    assert found["wire_bytes"]["client"].message > 1
    assert found["requests_per_trip"]["client"] >= 1
