"""``metrics:layout`` is written once and checked by all."""

import pytest

from metrics.connection import Call, Connection, command
from metrics.errors import LayoutError, StorageUnavailableError, StorageUnsoundError
from metrics.keyspace import LAYOUT
from metrics.layout import ENSURED_S, Layout
from metrics.node import Reply
from ops.local.ports import free_port
from tests.support.streams import hash_of

pytestmark = pytest.mark.every_server

NOBODY = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)


class Way:
    """The way to Redis, or to nobody."""

    def __init__(self, to: Connection) -> None:
        self.to = to

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the connection on the way."""
        return getattr(self.to, name)


def test_the_first_process_writes_the_layout_down(connection: Connection) -> None:
    """The first process writes partitions, accuracy and schema version into the layout."""
    Layout(connection, partitions=16).ensure()

    assert hash_of(connection, "metrics:layout") == {
        "partitions": "16",
        "histogram_accuracy": "0.01",
        "schema_version": "1",
    }


def test_a_process_that_differs_is_refused_and_told_in_what(connection: Connection) -> None:
    """A process of another layout is refused with the difference, and changes nothing."""
    Layout(connection, partitions=16).ensure()
    Layout(connection, partitions=16).ensure()

    with pytest.raises(LayoutError, match="partitions is 32 here and 16 in Redis") as caught:
        Layout(connection, partitions=32).ensure()

    assert "METRICS_PARTITIONS" in str(caught.value)
    assert hash_of(connection, "metrics:layout")["partitions"] == "16"


def test_numbers_of_another_version_are_refused(connection: Connection) -> None:
    """A process is refused if the schema version in Redis is another."""
    connection.ask(command("HSET", "metrics:layout", "schema_version", "2"))

    with pytest.raises(LayoutError, match="schema_version is 1 here and 2 in Redis"):
        Layout(connection, partitions=16).ensure()


def test_while_redis_is_away_nothing_is_agreed(connection: Connection) -> None:
    """While Redis is away the check raises an error, and the next call checks again."""
    way = Way(NOBODY)
    layout = Layout(way, partitions=16)

    with pytest.raises(StorageUnavailableError):
        layout.ensure()
    way.to = connection
    layout.ensure()

    assert hash_of(connection, "metrics:layout")["partitions"] == "16"


def test_a_redis_that_was_emptied_gets_its_layout_again(connection: Connection) -> None:
    """A running process writes the layout again into a Redis that was emptied."""
    now = [0.0]
    layout = Layout(connection, partitions=16, monotonic=lambda: now[0])
    layout.ensure()
    connection.ask(command("FLUSHALL"))
    now[0] += ENSURED_S

    layout.ensure()

    assert hash_of(connection, "metrics:layout")["partitions"] == "16"


def test_who_has_agreed_goes_on_while_the_layout_is_away(connection: Connection) -> None:
    """A process that has checked the layout goes on while Redis is away."""
    now = [0.0]
    way = Way(connection)
    layout = Layout(way, partitions=16, monotonic=lambda: now[0])
    layout.ensure()
    now[0] += ENSURED_S
    way.to = NOBODY

    layout.ensure()


def test_who_finds_a_foreign_key_in_its_place_waits_until_it_is_gone(
    connection: Connection,
) -> None:
    """A foreign key in place of the layout ends no process: it goes on once that is deleted."""
    now = [0.0]
    layout = Layout(connection, partitions=16, monotonic=lambda: now[0])
    layout.ensure()
    connection.ask(command("DEL", LAYOUT))
    connection.ask(command("SET", LAYOUT, "by hand"))
    for waiting in (layout, Layout(connection, partitions=16)):
        now[0] += ENSURED_S
        with pytest.raises(StorageUnsoundError, match="metrics:layout is not a hash of ours"):
            waiting.ensure()

    connection.ask(command("DEL", LAYOUT))
    layout.ensure()

    assert hash_of(connection, LAYOUT)["partitions"] == "16"


def test_a_layout_of_strange_bytes_differs(connection: Connection) -> None:
    """A layout with bytes that are no text raises LayoutError and is shown as far as possible."""
    connection.ask(command("HSET", "metrics:layout", "partitions", b"\xff"))

    with pytest.raises(LayoutError, match="partitions is 16 here and \ufffd in Redis"):
        Layout(connection, partitions=16).ensure()


def test_a_redis_that_evicts_is_not_trusted_until_it_does_not(connection: Connection) -> None:
    """A Redis that can evict keys is refused, unless it has no memory limit."""
    layout = Layout(connection, partitions=16)
    connection.ask(command("CONFIG", "SET", "maxmemory-policy", "volatile-ttl"))
    try:
        layout.ensure()
        connection.ask(command("CONFIG", "SET", "maxmemory", 1_000_000_000))

        with pytest.raises(StorageUnsoundError, match=r"maxmemory-policy volatile-ttl\), so mess"):
            Layout(connection, partitions=16).ensure()
    finally:
        connection.ask(command("CONFIG", "SET", "maxmemory-policy", "noeviction"))
        connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    Layout(connection, partitions=16).ensure()


def test_a_layout_that_a_failover_takes_back_is_written_again(connection: Connection) -> None:
    """A layout that Redis loses right after the write raises an error, and is written again."""

    class Forgetful(Connection):
        """Loses the layout once, right after it was written."""

        is_forgetful = True

        def ask(self, call: Call) -> Reply:
            reply = super().ask(call)
            if self.is_forgetful and "schema_version" in call.arguments[2:3]:
                self.is_forgetful = False
                super().ask(command("DEL", "metrics:layout"))
            return reply

    forgetful = Forgetful(connection._topology)
    layout = Layout(forgetful, partitions=16)

    with pytest.raises(StorageUnavailableError, match="Redis lost metrics:layout"):
        layout.ensure()
    layout.ensure()

    assert hash_of(connection, "metrics:layout")["partitions"] == "16"
