"""The collector by itself: one process that appends, under a load that keeps it busy.

No worker runs. The connections are those of one of two processes in ``ops.lab.bench.ingest``: the
more requests are under way, the more of them share a round trip, and the colder the caches are.
"""

import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import repeat
from pathlib import Path
from time import perf_counter_ns

from metrics.client.batch import Batch, encode
from metrics.keyspace import partition_of
from ops.lab.bench.ingest.cpu import cpu_seconds
from ops.lab.bench.ingest.messages import KEYS, keys_of, response_times
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.paced import Pace, Sender, post
from ops.lab.bench.ingest.workload import COLUMNS, ROWS, SINGLE
from ops.lab.bench.ingest.wrk import load
from ops.lab.scale.components.redis_usage import Told
from ops.lab.scale.figures import PARTITIONS
from ops.lab.scale.prices import Line
from ops.lab.scale.spread import draws_for
from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis

READY_S = 20.0
ANSWER_BYTES = 190
"""An answer of the collector, head and all."""

SENT_BY_WRK = {"single": SINGLE, "columns": COLUMNS, "rows": ROWS}
SHAPES = (*SENT_BY_WRK, "client")
PROCESSES = 2
CLIENT_CONNECTIONS = 32

_FEW, _MANY = 10, 1000
_CLIENT_REQUESTS_PER_S = {_FEW: 8000, _MANY: 2000}
"""More than a process takes."""


@dataclass(frozen=True, slots=True)
class CollectorFigures:
    """The figures of the collector; see ``Figures``."""

    collector_s: dict[str, Line]
    sender_s: dict[str, Line]
    wire_bytes: dict[str, Line]
    requests_per_trip: dict[str, float]


def measure_collector(
    server: EmbeddedRedis, folder: Path, seconds: float, shapes: Sequence[str] = SHAPES
) -> CollectorFigures:
    """Measure one collector process.

    Args:
        server: A Redis that is up and empty.
        folder: Where it logs, and requests are put.
        seconds: Of load, each shape.
        shapes: Which to measure.
    """
    service = Service("collector", server.url, folder / "collector.log", WEB_CONCURRENCY="1")
    bench = _Bench(service, server, folder, seconds)
    found = CollectorFigures({}, {}, {}, {})
    try:
        service.launch()
        service.wait_until_ready(READY_S)
        for shape in shapes:
            if shape == "client":
                bench.by_clients(found)
            else:
                bench.by_wrk(shape, found)
    finally:
        service.kill()
    return found


class _Clients(Sender):
    """Connections of clients; in this process, since their bodies are no text."""

    def close(self) -> None:
        """Hang up."""
        for line in self._by_fd.values():
            line.close()
        self._poll.close()


class _Bench:
    """A collector under load."""

    def __init__(
        self, service: Service, server: EmbeddedRedis, folder: Path, seconds: float
    ) -> None:
        self._service = service
        self._server = server
        self._folder = folder
        self._seconds = seconds

    def by_wrk(self, shape: str, found: CollectorFigures) -> None:
        """Send a shape with wrk; add what comes of it."""
        workload = SENT_BY_WRK[shape]
        share = replace(workload, connections=workload.connections // PROCESSES)
        (form,) = Ours.forms[share.shape]
        cpu_before, calls_before = self._cpu_s(), self._calls()
        sent = load(self._service.port, share, form, self._seconds, self._folder)
        cpu_s, calls = self._cpu_s() - cpu_before, self._calls() - calls_before
        if sent.errors or not sent.requests:
            raise RuntimeError(f"the collector answered {sent.errors} requests without success")
        sizes = [len(post(form.path, form.content_type, body)) for body in share.bodies(form)]
        found.collector_s[shape] = Line(cpu_s / sent.requests, 0.0)
        found.sender_s[shape] = Line(sent.cpu_s / sent.requests, 0.0)
        found.wire_bytes[shape] = Line(sum(sizes) / len(sizes) + ANSWER_BYTES, 0.0)
        found.requests_per_trip[shape] = _requests_per_trip(calls / sent.requests, share.keys(form))

    def by_clients(self, found: CollectorFigures) -> None:
        """Send what our client library sends, small and large; add what comes of it."""
        costs, sizes, trips = {}, {}, {}
        for messages, per_s in _CLIENT_REQUESTS_PER_S.items():
            number = int(per_s * self._seconds)
            requests = list(_client_requests(messages, number, str(time.time_ns())))
            sizes[messages] = sum(map(len, requests)) / len(requests) + ANSWER_BYTES
            pace = Pace(per_s, CLIENT_CONNECTIONS, self._seconds)
            cpu_before, calls_before = self._cpu_s(), self._calls()
            with closing(_Clients(self._service.port, requests, pace)) as sender:
                begun = perf_counter_ns()
                sent = sender.run(repeat(begun, number), begun + int(self._seconds * 1e9))
            if sent != sender.statuses[HTTPStatus.ACCEPTED]:
                raise RuntimeError(f"the collector answered {dict(sender.statuses)}")
            costs[messages] = (self._cpu_s() - cpu_before) / sent
            # A batch that is marked is registered first, by a plain command.
            trips[messages] = _requests_per_trip(
                (self._calls() - calls_before) / sent, keys_of("client")
            )
        found.collector_s["client"] = Line.through(*costs.items())
        found.wire_bytes["client"] = Line.through(*sizes.items())
        found.requests_per_trip["client"] = trips[_FEW]

    def _cpu_s(self) -> float:
        process = self._service.process
        if process is None:
            raise RuntimeError("the collector was not started")
        return cpu_seconds({"collector": process.pid})["collector"]

    def _calls(self) -> float:
        with self._server.client() as client:
            return Told.by(client).script_calls


def _requests_per_trip(calls_per_request: float, keys: Sequence[str]) -> float:
    """Return how many requests shared a round trip: the more, the fewer calls has each."""
    places = len({partition_of(key, PARTITIONS) for key in keys})
    return draws_for(places, min(1.0, calls_per_request))


def _client_requests(messages: int, number: int, name: str) -> Iterator[bytes]:
    """Yield requests as the client library sends them, each under a key of its own."""
    bodies = [_sealed(messages, seed) for seed in range(2 * KEYS)]
    for i in range(number):
        batch = bodies[i % len(bodies)]
        encoding = "Content-Encoding: gzip\r\n" if batch.is_gzip else ""
        head = (
            "POST /messages HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept-Encoding: identity\r\n"
            f"Content-Length: {len(batch.body)}\r\nContent-Type: application/json\r\n"
            f"User-Agent: metrics-client\r\nIdempotency-Key: {name}/{i}\r\n{encoding}\r\n"
        )
        yield head.encode() + batch.body


def _sealed(messages: int, seed: int) -> Batch:
    values = response_times(messages, seed)
    now = time.time()
    column = array("d", [number for value in values for number in (now, value)])
    return encode({keys_of("client")[seed % KEYS]: column}, {}, "", lambda: None)
