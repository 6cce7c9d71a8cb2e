"""The fixtures give real Redis servers of every version at hand, empty for each test."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from time import monotonic, time
from typing import TypeVar

import pytest
from hypothesis import settings

from metrics.connection import Connection, command
from ops.local.ports import PORTS_SHARE, free_port
from ops.local.redis_cluster import RedisCluster, node_ports
from ops.local.redis_server import EmbeddedRedis, find_server, is_valkey, version_of
from ops.local.server_wheels import ALL, servers_in
from ops.local.waiting import wait_until
from tests.support.fake_collector import FakeCollector, fake_collector

T = TypeVar("T")

if "PYTEST_XDIST_WORKER" in os.environ:
    number = os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")
    os.environ[PORTS_SHARE] = f"{number}/{os.environ['PYTEST_XDIST_WORKER_COUNT']}"

# How long an example takes is the machine's affair: others may have its cores. The suite tries the
# same examples each time; ``ops/test --hypothesis-profile search`` looks for new ones, ``long``
# for as long as a night, and ``fuzz`` a round of ``ops/fuzz``.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.register_profile("fuzz", deadline=None, max_examples=300)
settings.register_profile("long", deadline=None, max_examples=100_000)
settings.load_profile("suite")

LONG = [
    *("test_run.py", "test_chaos.py", "test_torn_file.py", "test_processes.py", "test_cluster.py"),
    *("test_bench_ingest.py", "test_dashboard_browser.py", "test_sabotage.py"),
    *("test_simulation.py", "test_failover.py", "test_server_wheels.py"),
]
"""What takes longest begins first, in this order: else one process would still be at it when others
have ended."""

Version = tuple[int, ...]


EVERY_SERVER: dict[Version, Path] = {
    version_of(server)[:2]: server for server in (*servers_in(ALL), find_server())
}
"""Redis 6.2 and 8.2 and Valkey 9.1 from wheels, and the machine's own where it has one."""

SERVERS = {
    version_of(server)[:2]: server for server in (EVERY_SERVER[min(EVERY_SERVER)], find_server())
}
"""The oldest, and what ops/run takes: all tests run on these."""


@cache
def name_of(version: Version) -> str:
    """Return the name of a server in the ids of tests."""
    product = "valkey" if is_valkey(EVERY_SERVER[version]) else "redis"
    return f"{product}-{version[0]}.{version[1]}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a server on those of ``SERVERS``, or on more or fewer as its markers say."""
    if "server_version" not in metafunc.fixturenames:
        return
    versions = list(SERVERS)
    if metafunc.definition.get_closest_marker("every_server"):
        versions = list(EVERY_SERVER)
    elif metafunc.definition.get_closest_marker("one_server"):
        versions = [max(SERVERS)]
    metafunc.parametrize("server_version", versions, ids=name_of, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def seconds_of(act: Callable[[], object]) -> float:
    """Return how long something takes."""
    begun = monotonic()
    act()
    return monotonic() - begun


def assert_within(limit_s: float, measure: Callable[[], float]) -> None:
    """Check that something takes less than a limit when the machine has time for it.

    It is measured again where it took longer, since others may have had the cores meanwhile; what
    is too slow by itself is so each time.
    """
    took_s: list[float] = []
    while not took_s or took_s[-1] >= limit_s:
        assert len(took_s) < 5, f"took {took_s} s, each time {limit_s} s or more"
        took_s.append(measure())


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    """Run a collector that is well."""
    with fake_collector() as collector:
        yield collector


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture(scope="session")
def redis_server(
    server_version: Version, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedRedis]:
    """Yield a redis-server of each version, for the whole session."""
    server = EmbeddedRedis(
        EVERY_SERVER[server_version], port=free_port(), folder=tmp_path_factory.mktemp("redis")
    ).start()
    yield server
    server.stop()


@pytest.fixture
def connection(redis_server: EmbeddedRedis) -> Iterator[Connection]:
    """Yield a connection to an empty Redis."""
    connection = Connection.open(redis_server.url, timeout_s=5.0, connections_max=8)
    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    connection.ask(command("FLUSHALL"))
    yield connection
    connection.close()


@pytest.fixture
def server(server_version: Version) -> Path:
    """Return the server program of each version."""
    return EVERY_SERVER[server_version]


@pytest.fixture(scope="session")
def clusters() -> Iterator[dict[Path, RedisCluster]]:
    """Yield the started clusters by program.

    Each takes two seconds, so it is started once a session.
    """
    started: dict[Path, RedisCluster] = {}
    yield started
    for cluster in started.values():
        cluster.stop()


@pytest.fixture
def redis_cluster(
    server: Path,
    clusters: dict[Path, RedisCluster],
    tmp_path_factory: pytest.TempPathFactory,
) -> RedisCluster:
    """Return an empty Redis Cluster of each version: three masters, three replicas.

    Whoever adds a node or leaves one dead needs a cluster of their own.
    """
    if server not in clusters:
        clusters[server] = RedisCluster(
            server,
            ports=node_ports(6),
            folder=tmp_path_factory.mktemp("cluster"),
            node_timeout_ms=2000,
        ).start()
    cluster = clusters[server]
    cluster.wait_until_healthy()
    for address, slots in cluster.masters().items():
        if slots:
            cluster.node_at(address).ask("FLUSHALL")
    return cluster


@pytest.fixture
def early_in_the_hour() -> None:
    """Let a test that posts and asks for "now" find both in the same hour."""
    wait_until(lambda: time() % 3600 < 3600 - 30, 40)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Yield a redis-server for a test that stops, starts or fills it."""
    (tmp_path / "redis").mkdir()
    server = EmbeddedRedis(find_server(), port=free_port(), folder=tmp_path / "redis").start()
    yield server
    server.stop()
