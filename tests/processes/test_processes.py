"""The Procfile's processes run while Redis is stopped, stalled, filled and killed."""

import http.client
import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames
from ops.lab.service import Service, procfile
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until
from tests.conftest import assert_within
from tests.support.load import Load, assert_everything_counts_once, audits_of_all

pytestmark = pytest.mark.usefixtures("early_in_the_hour")

Start = Callable[..., Service]

KILLED_AFTER_S = 5.0
"""Honcho kills whoever takes longer to end."""


@pytest.fixture
def launch(tmp_path: Path, own_redis: EmbeddedRedis) -> Iterator[Start]:
    """Yield a function that prepares processes by their names in the Procfile, and end them."""
    services: list[Service] = []

    def launch(name: str, redis_url: str | None = None, **environ: str) -> Service:
        log = tmp_path / f"{name}-{len(services)}.log"
        services.append(Service(name, redis_url or own_redis.url, log, **environ))
        return services[-1]

    yield launch
    for service in services:
        service.kill()


@pytest.fixture
def start(launch: Start) -> Start:
    """Return a function that starts a process and waits until it answers."""
    return lambda *arguments, **environ: launch(*arguments, **environ).start()


@pytest.fixture
def redis(own_redis: EmbeddedRedis) -> Iterator[Connection]:
    """Yield a connection to Redis past the processes."""
    connection = Connection.open(own_redis.url, timeout_s=5, connections_max=2)
    yield connection
    connection.close()


def path_of(key: str, stat: str) -> str:
    """Return the path of a statistic in the hour that is now."""
    return f"/{key}/{stat}/{datetime.now(UTC):%F/%H}"


def counted(redis: Connection, key: str) -> int:
    """Return how often a key was counted, in all hours."""
    names = [
        name
        for number in range(16)
        for name in redis.ask(
            command("KEYS", PartitionNames(number).hour(f"*:{key}").replace("{", "\\{"))
        )
    ]
    return sum(int(redis.ask(command("HGET", name, "count"))) for name in names)


def test_every_line_of_the_procfile_starts_and_stops(start: Start) -> None:
    """Every line of the Procfile becomes ready, answers problems and ends by SIGTERM in time."""
    for name in procfile():
        service = start(name)
        assert service.get("/readyz").json == {"status": "ok"}
        assert service.get("/nothing").headers["Content-Type"] == "application/problem+json"

        def seconds_to_stop_it(service: Service = service) -> float:
            return seconds_to_stop(service.start() if service.has_ended else service)

        assert_within(KILLED_AFTER_S, seconds_to_stop_it)


def seconds_to_stop(service: Service) -> float:
    """Return the seconds that a process takes to end by SIGTERM with status 0."""
    begun = monotonic()
    assert service.stop() == 0
    return monotonic() - begun


def test_the_procfile_names_the_processes_in_the_order_of_their_ports() -> None:
    """The Procfile lists collector, query and worker, in the order of their ports."""
    assert list(procfile()) == ["collector", "query", "worker"]


@pytest.mark.parametrize("name", procfile())
def test_a_process_of_another_layout_refuses_to_start(
    launch: Start, redis: Connection, name: str
) -> None:
    """A process of another layout does not start, and logs what differs without a traceback."""
    redis.ask(command("HSET", "metrics:layout", "partitions", "32"))
    service = launch(name).launch()

    assert service.wait() in (2, 4)
    assert "refusing to start: metrics:layout differs: partitions is 16 here and 32 in Redis" in (
        service.log.read_text("utf-8")
    )
    assert "Traceback" not in service.log.read_text("utf-8")


@pytest.mark.parametrize("name", procfile())
def test_a_bad_setting_is_one_clear_line(launch: Start, name: str) -> None:
    """A process with a bad setting ends with a line that names the variable and its range."""
    service = launch(name, METRICS_PARTITIONS="many").launch()

    assert service.wait() in (2, 4)
    log = service.log.read_text("utf-8")
    assert "METRICS_PARTITIONS must be a whole number from 1 to 16384, got 'many'" in log
    assert "Traceback" not in log


def test_a_message_is_visible_within_a_second_of_its_202(start: Start) -> None:
    """A message is in the query's answer within a second of its 202."""
    collector, query, worker = (start(name) for name in procfile())
    assert worker.get("/readyz").status == 200
    keys = (f"fresh-{number}" for number in count())

    def seconds_until_visible() -> float:
        key = next(keys)
        assert collector.post(json.dumps([key, 12.5])).status == 202
        begun = monotonic()
        wait_until(lambda: query.get(path_of(key, "max")).status == 200)
        seconds = monotonic() - begun
        assert query.get(path_of(key, "max")).json["value"] == 12.5
        return seconds

    for _ in range(5):
        assert_within(1, seconds_until_visible)


def assert_unavailable_within_3_seconds(collector: Service) -> int:
    """Check a 503 with all that belongs to it; return how many there were."""
    answers = []

    def seconds_until_answered() -> float:
        begun = monotonic()
        answers.append(collector.post('["a",1]'))
        return monotonic() - begun

    assert_within(3, seconds_until_answered)
    for answer in answers:
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["stored"] in ("no", "unknown")
    return len(answers)


def test_a_redis_that_is_away_stalls_or_refuses_is_503_until_it_is_back(
    start: Start, own_redis: EmbeddedRedis
) -> None:
    """While Redis is down, stalled or full, a post gets a 503 within 3 seconds, and a 202 later."""
    collector, query, _ = (start(name) for name in procfile())
    messages = 0

    def assert_back() -> None:
        nonlocal messages
        wait_until(lambda: collector.post('["a",1]').status == 202)
        messages += 1
        wait_until(lambda: query.get(path_of("a", "count")).status == 200)

    assert_back()
    own_redis.stop()
    assert_unavailable_within_3_seconds(collector)
    assert query.get(path_of("a", "count")).status == 503
    assert collector.get("/readyz").status == 503
    assert collector.get("/healthz").status == 200
    own_redis.start()
    assert_back()

    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        stalled = sum(assert_unavailable_within_3_seconds(collector) for _ in range(2))
        assert query.get(path_of("a", "count")).status == 503
    finally:
        own_redis.process.send_signal(signal.SIGCONT)
    assert_back()

    redis = Connection.open(own_redis.url, timeout_s=5, connections_max=1)
    redis.ask(command("CONFIG", "SET", "maxmemory", 1))
    assert_unavailable_within_3_seconds(collector)
    redis.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert_back()
    # Those that were sent into the stall are stored or not: nobody was told.
    wait_until(lambda: audits_of_all(redis)["length"] == 0)
    assert messages <= counted(redis, "a") <= messages + stalled
    assert audits_of_all(redis)["applied"] == counted(redis, "a")


def test_processes_start_while_redis_is_away(start: Start, own_redis: EmbeddedRedis) -> None:
    """Processes start without Redis, are not ready, and work once it is there."""
    own_redis.stop()
    collector, query, worker = (start(name) for name in procfile())
    for service in (collector, query, worker):
        assert service.get("/readyz").status == 503

    own_redis.start()

    wait_until(lambda: collector.post('["a",1]').status == 202)
    wait_until(lambda: query.get(path_of("a", "count")).status == 200)


def test_a_killed_worker_loses_and_doubles_nothing(start: Start, redis: Connection) -> None:
    """Every message counts once although a worker is killed twice under load."""
    collector = start("collector")
    worker = start("worker", METRICS_CLAIM_SECONDS="1")
    with Load(collector) as load:
        for _ in range(2):
            load.wait_for(300)
            worker.kill()
            worker = start("worker", METRICS_CLAIM_SECONDS="1")

    assert_everything_counts_once(redis, load.messages)


def pending(redis: Connection) -> int:
    """Return how many entries workers have read and not committed."""
    return sum(
        redis.ask(command("XPENDING", PartitionNames(number).stream, "aggregators"))[0]
        for number in range(16)
    )


def is_stopped_between_read_and_commit(worker: Service, redis: Connection) -> bool:
    """Stop the only worker, and let it go on if it has no entries, or has sent their commit."""
    worker.send(signal.SIGSTOP)
    # What it sent before it was stopped is done by the second look.
    if pending(redis) and pending(redis):
        return True
    worker.send(signal.SIGCONT)
    return False


def test_a_worker_that_stalls_past_the_claim_is_refused(start: Start, redis: Connection) -> None:
    """Every message counts once although another worker has claimed a stalled one's entries."""
    collector = start("collector")
    stalled = start("worker", METRICS_CLAIM_SECONDS="0.5")
    with Load(collector) as load:
        load.wait_for(300)
        wait_until(lambda: is_stopped_between_read_and_commit(stalled, redis))
        start("worker", METRICS_CLAIM_SECONDS="0.5")
        load.wait_for(1000)
        wait_until(lambda: audits_of_all(redis)["length"] < 50)
        stalled.send(signal.SIGCONT)
        load.wait_for(300)

    assert_everything_counts_once(redis, load.messages)


def test_a_worker_that_is_asked_to_stop_finishes_its_commit(
    start: Start, redis: Connection
) -> None:
    """A worker that is stopped ends with status 0 and leaves no entry pending."""
    collector = start("collector")
    worker = start("worker")
    with Load(collector) as load:
        load.wait_for(500)
        assert worker.stop() == 0
        assert pending(redis) == 0

    start("worker")
    assert_everything_counts_once(redis, load.messages)


def test_a_killed_or_restarted_collector_loses_and_doubles_nothing(
    start: Start, launch: Start, redis: Connection
) -> None:
    """Every message counts once although the collector is killed and restarted under load."""
    collector = start("collector")
    start("worker")
    with Load(collector) as load:
        for end in (collector.kill, collector.stop):
            load.wait_for(200)
            end()
            collector.start()
        load.wait_for(200)

    assert_everything_counts_once(redis, load.messages)


def test_a_collector_that_is_asked_to_stop_answers_what_it_has(start: Start) -> None:
    """Idle connections do not keep a collector from stopping within 3 seconds."""
    collector = start("collector")

    def seconds_to_stop_with_idle_connections() -> float:
        idle = [collector_connection(collector) for _ in range(5)]
        seconds = seconds_to_stop(collector)
        for connection in idle:
            connection.close()
        collector.start()
        return seconds

    assert_within(3, seconds_to_stop_with_idle_connections)


def collector_connection(collector: Service) -> http.client.HTTPConnection:
    """Return a connection that has had one answer, and is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=60)
    connection.request("POST", "/messages", '["a",1]', {"Content-Type": "application/json"})
    assert connection.getresponse().read()
    return connection


def test_all_processes_together_need_few_connections(start: Start, redis: Connection) -> None:
    """All processes together need at most 16 connections to Redis under load."""
    collector, query, _ = (start(name) for name in procfile())
    most = 0
    with Load(collector, clients=24) as load:
        for _ in range(5):
            load.wait_for(500)
            query.get(path_of("app.web-1", "median"))
            clients = redis.ask(command("CLIENT", "LIST")).decode().strip().splitlines()
            most = max(most, len(clients) - 1)

    assert most <= 16


def test_a_service_without_a_redis_url_says_so(launch: Start) -> None:
    """A worker without REDIS_URL says so and exits with status 2."""
    service = launch("worker", REDIS_URL="").launch()

    assert service.wait() == 2
    assert "REDIS_URL must be set" in service.log.read_text("utf-8")


def test_a_worker_whose_port_is_taken_says_so(start: Start, launch: Start) -> None:
    """A worker whose port is taken says so in its log and exits with status 2."""
    first = start("worker")
    service = launch("worker", PORT=str(first.port)).launch()

    assert service.wait() == 2
    assert f"PORT {first.port} cannot be used" in service.log.read_text("utf-8")
