"""Large questions run beside small ones and writers: nobody waits for what others ask."""

import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from api.query import app as query
from metrics import key_hours, store
from metrics.aggregate import BUCKET_PREFIX, Aggregate
from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.store import Store
from ops.lab.service import Answer, Service
from ops.local.redis_server import EmbeddedRedis
from tests.collector.test_collector import assert_is_problem
from tests.query.test_query import client_of
from tests.support.clusters import PARTITIONS
from tests.support.fleets import fill, fleet
from tests.support.streams import HOUR

FLEET = 3000
PATH = "/{}/median/2026-11-23/14"


def name_of(key: str) -> str:
    """Return the name of the hash of a key in the hour."""
    return PartitionNames(partition_of(key, PARTITIONS)).hour(key_hour(key, Hour.parse(HOUR)))


def write(connection: Connection, values: dict[str, list[float]]) -> None:
    """Write key-hours as commits leave them, but many at once."""
    calls = []
    for key, of_key in values.items():
        aggregate = Aggregate.of(of_key)
        fields = {name: getattr(aggregate, name) for name in ("count", "sum", "min", "max")}
        fields |= {f"{BUCKET_PREFIX}{bucket}": count for bucket, count in aggregate.histogram}
        items = [part for field, value in fields.items() for part in (field, repr(value))]
        keys = PartitionNames(partition_of(key, PARTITIONS)).keys
        calls += [command("HSET", name_of(key), *items)]
        calls += [command("ZADD", keys, Hour.parse(HOUR).digits, key)]
    connection.execute(calls)


class Watching(Connection):
    """A connection that notes how many parts the replies of each round trip have."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection._topology)
        self.parts: list[int] = []
        self.commands: list[str] = []
        self.before: Callable[[str], None] = lambda _: None

    def execute(self, calls: list, *, replicas: int = 0) -> list:
        """Pass the calls on, and note them and the parts of their replies."""
        for call in calls:
            self.before(call.arguments[0])
        replies = super().execute(calls, replicas=replicas)
        self.commands += [call.arguments[0] for call in calls]
        self.parts.append(sum(_parts(reply) for reply in replies))
        return replies


def _parts(reply: object) -> int:
    return sum(map(_parts, reply)) if isinstance(reply, list) else 1


WIDE = [1.02**power for power in range(-15_000, 15_000)]
"""Values that fill 30,000 buckets."""


def test_no_round_trip_asks_for_more_than_some_thousand_fields(connection: Connection) -> None:
    """The replies of a round trip have a bounded number of fields, for many or wide hashes."""
    narrow = {key: [1.02**power for power in range(i % 7, 200)] for i, key in enumerate(fleet(200))}
    write(connection, narrow | {"checkout.wide": WIDE})
    watching = Watching(connection)

    (found,) = Store(watching, partitions=PARTITIONS).read("checkout.*", [Hour.parse(HOUR)])

    assert len(found.keys) == 201
    assert found.aggregate.count == sum(map(len, narrow.values())) + len(WIDE)
    assert max(watching.parts) < 2 * 2 * key_hours.FIELDS_PER_REPLY


def test_a_wide_hash_is_read_as_it_was_at_one_moment(connection: Connection) -> None:
    """A wide hash that commits change between its pages is read in one go in the end."""
    write(connection, {"checkout.wide": WIDE})
    fill(connection, {"checkout.wide": [1.0]})
    watching = Watching(connection)

    def commit(name: str) -> None:
        if name == "HSCAN":
            fill(connection, {"checkout.wide": [WIDE[0], WIDE[-1]]})

    watching.before = commit
    (found,) = Store(watching, partitions=PARTITIONS).read("checkout.wide", [Hour.parse(HOUR)])

    pages = watching.commands.count("HSCAN")
    assert found.aggregate.count == len(WIDE) + 1 + 2 * pages
    assert watching.commands[-1] == "HGETALL"


def test_a_question_that_reads_too_much_is_a_bad_request(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that reads more fields than the limit gives a 400 that names it."""
    monkeypatch.setattr(store, "FIELDS_MAX", 50)
    fill(connection, {key: [1.0, 2.0] for key in fleet(10)})

    detail = assert_is_problem(
        client_of(connection).simulate_get("/checkout.*/max/2026-11-23/14"), 400
    )["detail"]

    assert detail == (
        "checkout.* touches 60 fields of hashes and one question may touch 50: "
        "ask for a longer prefix"
    )


def test_a_fleet_of_1000_keys_with_full_hours_may_be_asked_for_its_day() -> None:
    """The limits allow a day of 1000 keys with 500 buckets in each hour."""
    assert store.KEY_HOURS_MAX >= 1000 * 24
    assert store.FIELDS_MAX >= 1000 * 24 * 500


def test_only_large_questions_need_room(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for large questions those get a 503, and small ones are answered."""
    write(connection, {"checkout.wide": WIDE, "checkout.small": [5.0]})
    fill(connection, {key: [1.0] for key in fleet(store.SMALL_KEY_HOURS + 1)})
    monkeypatch.setattr(query, "LARGE_AT_ONCE", 0)
    monkeypatch.setattr(query, "LARGE_WAITING_MAX", 0)
    client = client_of(connection)

    for large in ("checkout.*", "checkout.wide", "checkout.web*"):
        refused = client.simulate_get(PATH.format(large))
        detail = assert_is_problem(refused, 503)["detail"]
        assert detail == "too many large questions at once; ask again later"
        assert refused.headers["Retry-After"] == "1"
    for small in ("checkout.small", "checkout.s*", "checkout.web-1*"):
        assert client.simulate_get(PATH.format(small)).status_code == 200


@pytest.fixture
def service(own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Service]:
    """Yield a query service in a process of its own, whose Redis has a fleet."""
    connection = Connection.open(own_redis.url, timeout_s=10, connections_max=1)
    keys = fleet(FLEET)
    for first in range(0, FLEET, 500):
        write(
            connection,
            {
                key: [1.02**power for power in range(100, 160 + i % 7)]
                for i, key in enumerate(keys[first : first + 500])
            },
        )
    write(connection, {"small": [5.0]})
    connection.close()
    service = Service("query", own_redis.url, tmp_path / "query.log").start()
    service.wait_until_ready(20)
    yield service
    service.kill()


def test_small_questions_keep_their_pace_beside_any_number_of_large_ones(
    service: Service,
) -> None:
    """Small questions stay faster than the large ones beside them; too many of those get a 503."""
    ended = Event()

    def timed(path: str) -> tuple[float, Answer]:
        began = monotonic()
        answer = service.get(path)
        return monotonic() - began, answer

    def ask_on(path: str) -> list[tuple[float, Answer]]:
        answers = []
        while not ended.is_set():
            answers.append(timed(path))
        return answers

    whole = service.get(PATH.format("checkout.*"))
    assert (whole.status, json.loads(whole.body)["keys"]) == (200, FLEET)

    with ThreadPoolExecutor(14) as threads:
        crowd = [threads.submit(ask_on, PATH.format("checkout.*")) for _ in range(14)]
        try:
            paths = (PATH.format("small"), "/keys?limit=10", "/readyz")
            small = [timed(path) for _ in range(15) for path in paths]
        finally:
            ended.set()
        large = [each for asked in crowd for each in asked.result()]

    assert {answer.status for _, answer in small} == {200}
    assert {answer.status for _, answer in large} <= {200, 503}
    for _, answer in large:
        if answer.status == 503:
            assert "too many large questions at once" in json.loads(answer.body)["detail"]
            assert answer.headers["Retry-After"] == "1"
    # Where they waited for large ones, they would take as long as those.
    took = [seconds for seconds, answer in large if answer.status == 200]
    assert statistics.median(seconds for seconds, _ in small) < statistics.median(took) / 2
