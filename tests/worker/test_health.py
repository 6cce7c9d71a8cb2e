"""The worker's health port: whoever connects to it costs the worker next to nothing."""

import contextlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from metrics.errors import StorageUnavailableError
from ops.lab.service import Service, procfile
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until
from workers import health as health_module
from workers.counters import Counters
from workers.health import HealthServer

FEW_DESCRIPTORS = "ulimit -n 64; " + procfile()["worker"]


@contextlib.contextmanager
def serving(check: object = None) -> Iterator[HealthServer]:
    """Run the health port of a worker."""
    server = HealthServer("127.0.0.1", 0, check=check or (lambda: None), counters=Counters())
    server.start()
    yield server
    server.close()


@pytest.fixture
def health() -> Iterator[HealthServer]:
    """Yield the health port of a worker that is well."""
    with serving() as server:
        yield server


def dial(port: int) -> socket.socket:
    """Return a connection to a port of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def ask(port: int, *pieces: bytes) -> bytes:
    """Send a request in pieces, and return all that comes back until the other side hangs up."""
    with dial(port) as connection:
        for piece in pieces:
            connection.sendall(piece)
            sleep(0.001)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, object]:
    """Return the problem in an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert problem["status"] == status_of(answer)
    return problem


def is_alive(port: int) -> bool:
    """Return whether the worker answers its probe."""
    with contextlib.suppress(OSError):
        return ask(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b'"ok"}')
    return False


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /" + b"a" * 9000, 431),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 9000, 431),
    ],
)
def test_every_error_is_a_problem_and_tells_no_version(
    health: HealthServer, request_: bytes, status: int
) -> None:
    """Every error of the health port is a problem, without the version of its server."""
    answer = ask(health.server_port, request_)

    assert status_of(answer) == status
    assert problem_of(answer)
    assert b"server:" not in answer.lower()
    assert b"python" not in answer.lower()


def test_a_request_may_come_in_any_pieces(health: HealthServer) -> None:
    """A request is answered wherever it is cut in two."""
    request = b"GET /healthz?probe=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for cut in range(1, len(request)):
        answer = ask(health.server_port, request[:cut], request[cut:])
        assert status_of(answer) == 200, cut


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nowhere"])
def test_head_is_get_without_a_body(health: HealthServer, path: str) -> None:
    """HEAD has the headers of GET and no body (RFC 9110, 9.3.2)."""
    get, head = (
        ask(health.server_port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for method in ("GET", "HEAD")
    )

    def head_of(answer: bytes) -> list[bytes]:
        lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
        return [line for line in lines if not line.startswith(b"Date:")]

    assert head_of(get) == head_of(head)
    assert head.endswith(b"\r\n\r\n")


def test_checks_under_way_are_shared() -> None:
    """Ten probes at once share one check of Redis, and `/healthz` answers meanwhile."""
    gate = threading.Event()
    running: list[int] = []

    def check() -> None:
        running.append(len(running))
        gate.wait(60)
        raise StorageUnavailableError("Redis is away")

    with serving(check) as server, contextlib.ExitStack() as stack:
        probes = [stack.enter_context(dial(server.server_port)) for _ in range(10)]
        for probe in probes:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: running)

        assert is_alive(server.server_port)
        assert len(running) == 1

        gate.set()
        for probe in probes:
            assert status_of(probe.recv(65_536)) == 503


def test_half_a_request_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes byte by byte is cut off at its deadline."""
    monkeypatch.setattr(health_module, "REQUEST_S", 0.3)
    with serving() as server, dial(server.server_port) as slow:
        began = monotonic()
        with contextlib.suppress(OSError):
            while monotonic() - began < 15:
                slow.sendall(b"G")
                slow.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if slow.recv(100) == b"":
                        break

        assert monotonic() - began < 10


def test_half_requests_cost_no_threads_and_keep_nobody_out(health: HealthServer) -> None:
    """A hundred half requests cost no threads, and the next request is answered."""
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(dial(health.server_port)).sendall(b"GET /healthz HTT")

        assert is_alive(health.server_port)
        assert threading.active_count() == threads


@pytest.fixture
def worker(own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Service]:
    """Yield a worker that may have 64 descriptors."""
    service = Service("worker", own_redis.url, tmp_path / "worker.log", command=FEW_DESCRIPTORS)
    yield service.start()
    service.kill()


def test_a_worker_without_descriptors_goes_on_when_it_has_some_again(
    worker: Service, own_redis: EmbeddedRedis
) -> None:
    """A worker outlives a hundred half requests and a Redis restart with few descriptors."""
    assert worker.process is not None
    descriptors = Path(f"/proc/{worker.process.pid}/fd")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(dial(worker.port)).sendall(b"GET /readyz HTT")
        assert is_alive(worker.port)
        own_redis.stop()
        own_redis.start()
        assert len(os.listdir(descriptors)) < 64
        wait_until(lambda: worker.get("/readyz").status == 200)

    assert not worker.has_ended
    assert "Traceback" not in worker.log.read_text("utf-8")


def test_a_worker_that_gets_no_descriptor_does_not_end(worker: Service) -> None:
    """A worker without a free descriptor does not end or spin, and answers once it has one."""
    import resource

    assert worker.process is not None
    pid = worker.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    cpu = cpu_s(pid)
    began = monotonic()
    with dial(worker.port) as refused:
        refused.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sleep(0.5)
        assert cpu_s(pid) - cpu < 0.6 * (monotonic() - began)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

        answer = http.client.HTTPResponse(refused)
        answer.begin()
        assert answer.status in {200, 503}
    wait_until(lambda: worker.get("/readyz").status == 200)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
