"""METRICS_SELF_KEY: the services record how long they take to answer as a key of their own."""

import falcon.testing
import pytest

from api.collector import app as collector
from api.query import app as query
from api.self_times import VALUES_MAX, SelfTimes
from metrics.connection import Connection, command
from metrics.entry import read_dropped, read_values
from metrics.errors import SettingsError
from metrics.keyspace import PartitionNames, partition_of
from metrics.layout import Layout
from metrics.settings import Settings
from ops.local.ports import free_port
from tests.support.streams import audit_of

KEY = "metrics.collector-1"
PARTITION = partition_of(KEY, 16)
SETTINGS = Settings.from_env({"REDIS_URL": "redis://unused", "METRICS_SELF_KEY": KEY})


def self_times_of(connection: Connection) -> SelfTimes:
    """Return the response times of a collector."""
    found = SelfTimes.of("collector", SETTINGS, connection, Layout(connection, partitions=16))
    assert found is not None
    return found


def texts_in(connection: Connection) -> list[bytes]:
    """Return the columns of the entries of the key, and see that they are of this hour."""
    stream = PartitionNames(PARTITION).stream
    fields = [
        part for _, fields in connection.ask(command("XRANGE", stream, "-", "+")) for part in fields
    ]
    assert all(name.endswith(f":{KEY}".encode()) for name in fields[::2])
    return fields[1::2]


@pytest.mark.parametrize("service", ["collector", "query"])
def test_each_request_is_one_message_of_the_key_and_recording_it_is_none(
    connection: Connection, service: str
) -> None:
    """Each request is a message, in milliseconds; recording it is no request."""
    self_times = self_times_of(connection)
    app = {"collector": collector, "query": query}[service].create_app(
        connection, SETTINGS, self_times=self_times
    )
    client = falcon.testing.TestClient(app)
    for path in ("/healthz", "/readyz", "/nowhere"):
        client.simulate_get(path)
    for _ in range(3):
        self_times.append()

    (text,) = texts_in(connection)
    values, weights = read_values([text])

    assert (len(values), weights) == (3, None)
    assert all(0 < value < 60_000 for value in values)
    assert audit_of(connection, PARTITION)["appended"] == 1


def test_what_could_not_be_recorded_is_reported_as_dropped(connection: Connection) -> None:
    """What Redis did not take, or did not fit, is reported as dropped with what comes next."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    self_times = self_times_of(nobody)
    self_times.record([0.1] * 5)
    self_times.append()
    there = self_times_of(connection)
    self_times._appender = there._appender
    self_times.record([0.1] * VALUES_MAX)
    self_times.record([0.1, 0.2])
    self_times.append()

    texts = texts_in(connection)

    assert sum(map(read_dropped, texts)) == 7
    assert audit_of(connection, PARTITION)["accepted"] == VALUES_MAX


def test_the_key_is_checked_at_the_start_and_may_name_the_service() -> None:
    """METRICS_SELF_KEY must be a key; ``{service}`` in it is the name of the service."""
    environ = {"REDIS_URL": "redis://unused", "METRICS_SELF_KEY": "metrics.{service}-1"}
    settings = Settings.from_env(environ)

    assert settings.self_key_of("query") == "metrics.query-1"
    assert SETTINGS.self_key_of("query") == KEY
    with pytest.raises(SettingsError, match="METRICS_SELF_KEY must be a key"):
        Settings.from_env(environ | {"METRICS_SELF_KEY": "our key"})
