"""``GET /metrics`` gives Prometheus text, from both services and from the worker."""

import http.client
import logging
import socket
import struct
from collections.abc import Iterator, Mapping

import falcon
import falcon.testing
import pytest
from prometheus_client.parser import text_string_to_metric_families

from metrics.connection import Connection, command
from metrics.errors import StorageUnavailableError
from metrics.keyspace import LAYOUT, PartitionNames, partition_of
from ops.local.ports import free_port
from ops.local.waiting import wait_until
from tests.collector import test_collector
from tests.collector.test_collector import assert_is_problem, post
from tests.library.test_audit import Without
from tests.query.test_audit import lose_an_entry
from tests.query.test_query import KEY, PARTITION, VALUES, add, client_of, commit
from tests.support.away import PartlyAway
from tests.support.streams import append, batch
from workers.counters import Counters
from workers.health import HealthServer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOUR_ROUTE = "route=/{key}/{stat}/{date}/{hour}"


def samples_in(text: str) -> dict[str, float]:
    """Return the samples of an exposition, named like ``metrics_commits_total partition=7``."""
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sample.labels.items())]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Mapping[str, float], *names: str) -> dict[str, float]:
    """Return the samples whose names begin with one of these."""
    return {name: value for name, value in samples.items() if name.startswith(names)}


def scrape(client: falcon.testing.TestClient) -> dict[str, float]:
    """Return the samples of a service."""
    result = client.simulate_get("/metrics")
    assert result.status_code == 200, result.text
    assert result.headers["Content-Type"] == CONTENT_TYPE
    return samples_in(result.text)


def test_the_audit_is_series_of_each_partition(connection: Connection) -> None:
    """The query service exposes the audit as series of each partition."""
    add(connection, VALUES)
    commit(connection)
    append(connection, batch([1.0, 2.0], partition=2))

    samples = scrape(client_of(connection))

    partition = f"partition={PARTITION}"
    assert {name: value for name, value in samples.items() if name.endswith(partition)} == {
        f"metrics_entries_appended_total {partition}": 1,
        f"metrics_entries_committed_total {partition}": 1,
        f"metrics_entries_dead_total {partition}": 0,
        f"metrics_messages_accepted_total {partition}": 4,
        f"metrics_messages_applied_total {partition}": 4,
        f"metrics_messages_dead_total {partition}": 0,
        f"metrics_messages_deleted_total {partition}": 0,
        f"metrics_backlog_entries {partition}": 0,
        f"metrics_backlog_oldest_seconds {partition}": 0,
        f"metrics_redis_memory_used_bytes {partition}": samples[
            f"metrics_redis_memory_used_bytes {partition}"
        ],
        f"metrics_redis_memory_max_bytes {partition}": 0,
        f"metrics_books_balance {partition}": 1,
    }
    assert samples["metrics_messages_accepted_total partition=2"] == 2
    assert samples["metrics_messages_applied_total partition=2"] == 0
    assert samples["metrics_backlog_entries partition=2"] == 1
    assert samples["metrics_partitions_unreadable"] == 0


def test_an_audit_that_does_not_balance_is_a_zero(connection: Connection) -> None:
    """The series of an audit that does not balance is 0."""
    lose_an_entry(connection, 5)

    samples = scrape(client_of(connection))

    assert [samples[f"metrics_books_balance partition={number}"] for number in (4, 5)] == [1, 0]


def test_partitions_that_cannot_be_read_have_no_series(connection: Connection) -> None:
    """A partition that cannot be read has no series and is counted as unreadable."""
    connection.ask(command("HSET", PartitionNames(5).audit, "dead", "many"))

    samples = scrape(client_of(Without(connection, PartitionNames(3).stream)))

    unreadable = [name for name in samples if name.endswith(("partition=3", "partition=5"))]
    assert all(name.startswith("metrics_redis_memory_") for name in unreadable)
    assert samples["metrics_partitions_unreadable"] == 2
    assert samples["metrics_books_balance partition=4"] == 1


def test_without_redis_a_service_still_says_what_it_answered() -> None:
    """Without Redis the query service still exposes how many requests it answered."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    client = client_of(nobody)
    client.simulate_get(f"/{KEY}/max/2026-11-23/14")

    samples = scrape(client)
    assert samples[f"metrics_query_requests_total {HOUR_ROUTE} status=503"] == 1
    assert samples["metrics_query_redis_errors_total kind=unavailable"] > 0
    assert samples["metrics_partitions_unreadable"] == 16


def test_the_audit_of_another_number_of_partitions_fails_the_scrape(connection: Connection) -> None:
    """With another number of partitions in Redis the scrape gives a 503."""
    connection.ask(command("HSET", LAYOUT, "partitions", 32))

    assert_is_problem(client_of(connection).simulate_get("/metrics"), 503)


def test_queries_are_counted_by_status(connection: Connection) -> None:
    """Requests are counted by route and status, those of no route too; probes are not."""
    add(connection, VALUES)
    commit(connection)
    client = client_of(connection)
    for path, times in {
        "max/2026-11-23/14": 3,
        "mean/2026-11-23/14": 2,
        "max/2026-11-23/15": 1,
    }.items():
        for _ in range(times):
            client.simulate_get(f"/{KEY}/{path}")
    for path in ("/healthz", "/readyz", "/metrics", "/audit", "/nowhere"):
        client.simulate_get(path)

    samples = scrape(client)

    assert of(samples, "metrics_query_requests_total") == {
        f"metrics_query_requests_total {HOUR_ROUTE} status=200": 3,
        f"metrics_query_requests_total {HOUR_ROUTE} status=400": 2,
        f"metrics_query_requests_total {HOUR_ROUTE} status=404": 1,
        "metrics_query_requests_total route=/audit status=200": 1,
        "metrics_query_requests_total route=none status=404": 1,
    }
    assert of(samples, "metrics_query_request_seconds_count") == {
        f"metrics_query_request_seconds_count {HOUR_ROUTE}": 6,
        "metrics_query_request_seconds_count route=/audit": 1,
        "metrics_query_request_seconds_count route=none": 1,
    }


def test_no_token_is_asked_for_and_no_key_told(connection: Connection) -> None:
    """`/metrics` needs no token, and shows no key and no token."""
    add(connection, VALUES)
    commit(connection)
    client = client_of(connection, METRICS_READ_TOKENS="secret")
    client.simulate_get(f"/{KEY}/max/2026-11-23/14")

    text = client.simulate_get("/metrics").text

    assert samples_in(text)[f"metrics_query_requests_total {HOUR_ROUTE} status=401"] == 1
    assert KEY not in text
    assert "secret" not in text


def test_messages_are_counted_by_what_became_of_them(connection: Connection) -> None:
    """A collector counts accepted, rejected and dropped messages, also of refused requests."""
    partly = PartlyAway(connection, [partition_of("away", 16)])
    collector = test_collector.client_of(partly)
    before = scrape(collector)
    for body in (
        '[["a",1],["a",2],["a",3],["a",-1]]',
        '{"key":"a","values":[1,2]}',
        '{"key":"a","values":[-1,-2,-3,-4,-5]}',
        '[["a",1],["away",2],["a",-1],{"key":"a","dropped":17},{"key":"away","dropped":4}]',
        '[["?",1],{"key":"a","value":1,"timestamp":7},{"key":"a","dropped":0},{"value":1}]',
    ):
        post(collector, body)
    after = scrape(collector)

    rejected = "metrics_collector_messages_rejected_total reason="
    messages = "metrics_collector_messages"
    assert len(of(before, messages)) == 10
    assert set(of(before, messages).values()) == {0}
    assert of(after, messages, "metrics_collector_requests") == {
        "metrics_collector_messages_accepted_total": 6,
        f"{rejected}value": 7,
        f"{rejected}key": 1,
        f"{rejected}timestamp": 1,
        f"{rejected}dropped": 1,
        f"{rejected}form": 1,
        f"{rejected}token": 0,
        f"{rejected}new_key": 0,
        f"{rejected}aggregate": 0,
        "metrics_collector_messages_dropped_total": 17,
        "metrics_collector_requests_total route=/messages status=202": 2,
        "metrics_collector_requests_total route=/messages status=400": 2,
        "metrics_collector_requests_total route=/messages status=503": 1,
    }
    assert after["metrics_collector_request_seconds_count route=/messages"] == 5
    assert after["metrics_collector_append_seconds_count"] == 4
    assert after["metrics_collector_append_requests_sum"] == 4


@pytest.fixture
def counters() -> Counters:
    """Return the counters of a worker that has done nothing yet."""
    return Counters()


@pytest.fixture
def health(counters: Counters) -> Iterator[HealthServer]:
    """Yield a worker's HTTP server."""
    server = HealthServer("127.0.0.1", 0, check=lambda: None, counters=counters)
    server.start()
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str, str]:
    """Return status, type and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


def test_a_worker_tells_what_it_did(health: HealthServer, counters: Counters) -> None:
    """A worker exposes its counters, which begin at 0."""
    before = samples_in(get(health, "/metrics")[2])
    counters.committed(entries=3, messages=100)
    counters.committed(entries=1, messages=50)
    counters.refused()
    counters.dead_lettered()
    counters.died(4)
    counters.claimed(7)
    counters.redis_errors.count(StorageUnavailableError("away"))
    status, content_type, text = get(health, "/metrics")

    assert (status, content_type) == (200, CONTENT_TYPE)
    after = samples_in(text)
    assert set(before.values()) == {0}
    assert after["metrics_worker_commit_messages_bucket le=64.0"] == 1
    assert after["metrics_worker_commit_messages_sum"] == 150
    assert after["metrics_worker_redis_errors_total kind=unavailable"] == 1
    assert {
        name: after[name] for name in after if "commit_" not in name and "kind" not in name
    } == {
        "metrics_worker_commits_total": 2,
        "metrics_worker_entries_committed_total": 4,
        "metrics_worker_messages_committed_total": 150,
        "metrics_worker_commits_refused_total": 1,
        "metrics_worker_entries_buried_total": 1,
        "metrics_worker_messages_dead_total": 4,
        "metrics_worker_entries_claimed_total": 7,
    }


def test_a_worker_still_answers_its_probes(health: HealthServer) -> None:
    """A worker answers its probes, and a problem that names its paths for any other path."""
    assert get(health, "/healthz") == (200, "application/json", '{"status": "ok"}')
    assert get(health, "/readyz") == (200, "application/json", '{"status": "ok"}')
    status, content_type, text = get(health, "/audit")
    assert (status, content_type) == (404, "application/problem+json")
    assert "A worker has /healthz, /readyz and /metrics only." in text


def test_a_probe_that_hangs_up_is_not_worth_a_line(
    health: HealthServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A probe that resets its connection leaves no line above DEBUG in the log."""
    caplog.set_level(logging.DEBUG, logger="workers.health")
    with socket.create_connection(("127.0.0.1", health.server_port), timeout=60) as probe:
        probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        probe.recv(1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    wait_until(lambda: not health._connections)
    assert get(health, "/healthz")[0] == 200
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
