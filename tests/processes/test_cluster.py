"""The processes run on a Redis Cluster whose nodes die, hang, hand over and are added."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from metrics.connection import Connection
from metrics.keyspace import PartitionNames
from metrics.layout import Layout
from ops.lab.service import Service
from ops.local.redis_cluster import RedisCluster, node_ports
from ops.local.waiting import wait_until
from tests.conftest import assert_within
from tests.support.clusters import PARTITIONS, heal, keys_by_master, lose_the_tail, slot_of
from tests.support.load import Load, assert_everything_counts_once, audits_of_all
from tests.support.streams import append, batch

pytestmark = [pytest.mark.usefixtures("early_in_the_hour"), pytest.mark.one_server]

Start = Callable[..., list[Service]]


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Yield the cluster of the session, and make it good again after each test."""
    yield redis_cluster
    heal(redis_cluster)


@pytest.fixture
def redis(cluster: RedisCluster) -> Iterator[Connection]:
    """Yield a connection to the cluster past the processes."""
    connection = Connection.open(cluster.url, timeout_s=2, connections_max=2)
    yield connection
    connection.close()


@pytest.fixture
def start(tmp_path: Path, cluster: RedisCluster) -> Iterator[Start]:
    """Yield a function that starts processes by their names in the Procfile, and end them."""
    services: list[Service] = []

    def start(*names: str, **environ: str) -> list[Service]:
        environ = {"METRICS_CLAIM_SECONDS": "1", **environ}
        new = [Service(name, cluster.url, tmp_path / name, **environ).launch() for name in names]
        services.extend(new)
        for service in new:
            wait_until(service.is_alive)
        return new

    yield start
    for service in services:
        service.kill()


def path_of(key: str, stat: str = "count") -> str:
    """Return the path of a statistic in the hour that is now."""
    return f"/{key}/{stat}/{datetime.now(UTC):%F/%H}"


def test_any_node_leads_to_all_partitions(cluster: RedisCluster) -> None:
    """Any node leads to all partitions, which are spread over all masters."""
    for node in cluster.nodes:
        connection = Connection.open(node.url, timeout_s=2, connections_max=2)
        Layout(connection, partitions=PARTITIONS).ensure()
        batches = [batch(partition=number) for number in range(PARTITIONS)]
        assert append(connection, *batches) == [None] * PARTITIONS
        names = [connection.node_name_of(PartitionNames(n).stream) for n in range(PARTITIONS)]
        connection.close()

        shares = Counter(names)
        assert set(shares) == set(cluster.masters())
        assert min(shares.values()) >= 3


def test_the_whole_path_works_on_a_cluster_without_being_told(
    start: Start, redis: Connection
) -> None:
    """On a cluster every message of 50 keys is counted and answered, and the audit balances."""
    collector, query, worker = start("collector", "query", "worker")
    for service in (collector, query, worker):
        assert service.get("/readyz").status == 200
    messages = [[f"app-{i}", float(i)] for i in range(50)]

    assert collector.post(json.dumps(messages)).json == {"accepted": 50, "rejected": 0}

    for key, value in messages:
        wait_until(lambda key=key: query.get(path_of(key)).status == 200)
        assert query.get(path_of(key, "median")).json["value"] == value
    audit = query.get("/audit").json
    assert audit["balance"] is True
    assert audit["total"]["messages"]["applied"] == 50


def test_a_node_that_is_away_concerns_its_own_partitions_only(
    start: Start, cluster: RedisCluster, redis: Connection
) -> None:
    """A node that is away fails only its own partitions, and its messages count once later."""
    collector, query, _ = start("collector", "query", "worker")
    (gone, lost), (_, kept), *_ = keys_by_master(cluster).items()
    both = json.dumps([[lost, 1], [kept, 2], [kept, -1]])
    assert collector.post(json.dumps([[lost, 1], [kept, 1]])).status == 202
    wait_until(lambda: query.get(path_of(lost)).status == 200)
    cluster.replica_of(gone).kill()
    gone.kill()

    for _ in range(2):
        answer = collector.post(json.dumps([lost, 1]))
        assert (answer.status, answer.json["stored"]) == (503, "no")
    assert collector.post(json.dumps([kept, 1])).status == 202
    partly = collector.post(both, Idempotency_Key="both")
    assert partly.status == 503
    assert (partly.json["accepted"], partly.json["retryable"]) == (1, 1)
    assert [error.get("retryable") for error in partly.json["errors"]] == [True, None]
    wait_until(lambda: query.get(path_of(kept)).json.get("count") == 3)
    assert query.get(path_of(lost)).status == 503
    audit = query.get("/audit").json
    assert audit["balance"] is None
    assert 0 < sum("error" in each for each in audit["partitions"]) < PARTITIONS
    for service in (collector, query):
        assert service.get("/readyz").status == 200

    heal(cluster)
    wait_until(lambda: collector.post(both, Idempotency_Key="both").status == 202)
    wait_until(lambda: audits_of_all(redis)["length"] == 0)
    assert query.get(path_of(kept)).json["count"] == 3
    assert query.get(path_of(lost)).json["count"] == 2


def test_a_node_that_hangs_holds_up_nobody_else(start: Start, cluster: RedisCluster) -> None:
    """A node that hangs holds up neither posts nor queries of other partitions."""
    collector, query, _ = start("collector", "query", "worker")
    (hung, lost), (_, kept), *_ = keys_by_master(cluster).items()
    assert collector.post(json.dumps([[lost, 1], [kept, 1]])).status == 202
    cluster.replica_of(hung).pause()
    hung.pause()

    def seconds_to_post(key: str, status: int) -> float:
        begun = monotonic()
        assert collector.post(json.dumps([key, 1])).status == status
        return monotonic() - begun

    assert_within(3, lambda: seconds_to_post(lost, 503))
    for _ in range(5):
        assert_within(1, lambda: seconds_to_post(kept, 202))
        seconds_to_post(lost, 503)
    wait_until(lambda: query.get(path_of(kept)).json.get("count", 0) >= 6)
    assert query.get(path_of(lost)).status == 503


@pytest.mark.parametrize("how", ["kill", "failover"])
def test_a_failover_loses_and_doubles_nothing(
    start: Start, cluster: RedisCluster, redis: Connection, how: str
) -> None:
    """With METRICS_WAIT_REPLICAS=1 each message answered with 202 counts once after a failover."""
    collector, _ = start("collector", "worker", METRICS_WAIT_REPLICAS="1")
    with Load(collector) as load:
        load.wait_for(300)
        master = cluster.master_of(slot_of("app.web-0"))
        if how == "failover":
            heir = cluster.failover(master)
        else:
            heir = cluster.replica_of(master)
            master.kill()
            wait_until(lambda: heir.address in cluster.masters())
            heal(cluster)
        load.wait_for(300)

    assert heir.address in cluster.masters()
    assert_everything_counts_once(redis, load.messages)


def test_slots_that_move_under_load_to_a_new_node_lose_and_double_nothing(
    tmp_path: Path, server: Path
) -> None:
    """Slots that move to a new node under load lose and double no message."""
    cluster = RedisCluster(server, ports=node_ports(6), folder=tmp_path).start()
    redis = Connection.open(cluster.url, timeout_s=2, connections_max=2)
    services = [Service(name, cluster.url, tmp_path / name) for name in ("collector", "worker")]
    try:
        with Load(services[0].start()) as load:
            services[1].start()
            added = cluster.add_node()
            for i in range(4):
                load.wait_for(100)
                for _ in cluster.moving_slot(slot_of(f"app.web-{i}"), added):
                    pass
            load.wait_for(300)

        assert_everything_counts_once(redis, load.messages)
        assert added.ask("DBSIZE") > 0
    finally:
        for service in services:
            service.kill()
        redis.close()
        cluster.stop()


def test_a_slot_that_is_half_moved_is_unavailable_and_then_counts_once(
    start: Start, cluster: RedisCluster, redis: Connection
) -> None:
    """A post to a half-moved slot gets a 503 with `stored: no`, and counts once afterwards."""
    collector, query, _ = start("collector", "query", "worker")
    key = "app.web-0"
    assert collector.post(json.dumps([key, 1])).status == 202
    wait_until(lambda: query.get(path_of(key)).status == 200)
    slot = slot_of(key)
    source = cluster.master_of(slot)
    target = next(cluster.node_at(at) for at in cluster.masters() if at != source.address)
    steps = cluster.moving_slot(slot, target, step=1)
    assert [next(steps), next(steps)] == [0, 1]

    answer = collector.post(json.dumps([key, 2]), Idempotency_Key="half")
    assert (answer.status, answer.json["stored"]) == (503, "no")
    assert list(steps)
    cluster.wait_until_healthy()

    for _ in range(2):
        assert collector.post(json.dumps([key, 2]), Idempotency_Key="half").status == 202
    wait_until(lambda: query.get(path_of(key)).json.get("count") == 2)
    assert audits_of_all(redis)["accepted"] == 2


def test_without_enough_replicas_it_is_503_and_counts_once_when_sent_again(
    start: Start, cluster: RedisCluster, redis: Connection
) -> None:
    """A post without enough replicas gets a 503, and counts once when it is sent again."""
    collector, _ = start("collector", "worker", METRICS_WAIT_REPLICAS="1")
    (master, unconfirmed), (_, confirmed), *_ = keys_by_master(cluster).items()
    replica = cluster.replica_of(master)
    replica.pause()
    assert collector.post(json.dumps([confirmed, 1]), Idempotency_Key="1").status == 202

    answer = collector.post(json.dumps([unconfirmed, 1]), Idempotency_Key="2")
    assert (answer.status, answer.json["stored"]) == (503, "unknown")
    assert "fewer than 1 replicas have it in time" in answer.json["detail"]

    replica.resume()
    wait_until(
        lambda: collector.post(json.dumps([unconfirmed, 1]), Idempotency_Key="2").status == 202
    )
    assert_everything_counts_once(redis, 2)


def test_more_replicas_than_there_are_is_never_202(start: Start) -> None:
    """A post that asks for more replicas than there are gets a 503 with `stored: unknown`."""
    (collector,) = start("collector", METRICS_WAIT_REPLICAS="2")

    answer = collector.post('["a",1]')

    assert (answer.status, answer.json["stored"]) == (503, "unknown")
    assert "fewer than 2 replicas have it in time: 1" in answer.json["detail"]


def test_a_cluster_that_is_killed_whole_comes_back_with_all_that_was_answered(
    start: Start, cluster: RedisCluster, redis: Connection
) -> None:
    """After a kill of the whole cluster each message that was answered 202 counts once."""
    for node in cluster.nodes:
        # With everysec a kill may lose what was written while the disk was busy.
        node.ask("CONFIG", "SET", "appendfsync", "always")
    collector, _ = start("collector", "worker")
    with Load(collector) as load:
        load.wait_for(300)
        for node in cluster.nodes:
            node.stop(signal.SIGKILL)
        heal(cluster)
        load.wait_for(300)

    assert_everything_counts_once(redis, load.messages)


@pytest.mark.parametrize(("replicas", "status"), [("0", 202), ("1", 503)])
def test_a_replica_that_lags_takes_with_it_only_what_nobody_waited_for(
    start: Start, cluster: RedisCluster, redis: Connection, replicas: str, status: int
) -> None:
    """A lagging replica that takes over loses only messages that waited for no replica."""
    collector, _ = start("collector", "worker", METRICS_WAIT_REPLICAS=replicas)
    assert collector.post('["a",1]').status == 202
    wait_until(lambda: audits_of_all(redis)["applied"] == 1)
    answers = []

    def post() -> None:
        answers.append(collector.post('["a",2]', Idempotency_Key="late").status)

    lose_the_tail(cluster, "a", meanwhile=post)

    assert answers == [status]
    assert_everything_counts_once(redis, 1)
    wait_until(lambda: collector.post('["a",2]', Idempotency_Key="late").status == 202)
    assert_everything_counts_once(redis, 2)
