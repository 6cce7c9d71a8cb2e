"""What is not sound in Redis is left alone and kept apart; all else goes on."""

import re

import pytest

from metrics.backlog import Exceptions
from metrics.client_aggregate import ClientAggregate
from metrics.connection import Connection, command
from metrics.entry import Column
from metrics.errors import StorageUnsoundError
from metrics.keyspace import GROUP, PartitionNames
from metrics.stream import Batch
from tests.library.test_backlog import HASH, STREAM, backlog_of, commit, read
from tests.support.aggregates import aggregate_of
from tests.support.streams import HOUR, append, assert_audit_balances, audit_of, batch, hash_of

pytestmark = pytest.mark.every_server


UNSOUND = [
    *(("count", "many"), ("count", "-1"), ("sum", "much"), ("max", "")),
    *(("b:0", "x"), ("b:0", "9007199254740992"), ("count", "9" * 400)),
    *(("sum", "-5"), ("sum", "nan"), ("min", "-1"), ("max", "inf")),
]


@pytest.mark.parametrize(("name", "value"), UNSOUND)
def test_a_hash_that_is_not_sound_is_left_alone(
    connection: Connection, name: str, value: str
) -> None:
    """An unsound hash stays as it is; its column becomes a dead letter, and the rest counts."""
    backlog = backlog_of(connection)
    append(connection, batch())
    commit(backlog, read(backlog))
    connection.ask(command("HSET", HASH, name, value))
    before = hash_of(connection, HASH)
    append(connection, batch(key="another"), batch([1.0, 2.0]), batch([3.0], key="third"))
    (entry,) = read(backlog)

    result = commit(backlog, [entry])

    assert isinstance(result, Exceptions)
    assert result.dead_messages == 2
    assert all(text.startswith(f"{HASH} is not sound: ") for text in result.unsound)
    assert hash_of(connection, HASH) == before
    for key in ("another", "third"):
        assert hash_of(connection, PartitionNames(0).hour(f"{HOUR}:{key}"))["count"] == "1"
    assert dead_of(connection) == [
        [
            *("id", entry.id.decode(), "reason", result.unsound[0]),
            *(f"{HOUR}:checkout.web-1", "1.0,2.0"),
        ]
    ]
    assert audit_of(connection) == {
        "appended": 2, "committed": 2, "dead": 0,
        "accepted": 5, "applied": 3, "dead_messages": 2, "length": 0,
    }  # fmt: skip
    assert hash_of(connection, PartitionNames(0).backlog) == {}
    assert commit(backlog, [entry]) is False


def test_an_aggregate_of_a_hash_that_is_not_sound_is_as_many_dead_messages(
    connection: Connection,
) -> None:
    """A client aggregate that cannot be applied is dead as often as it stands for."""
    backlog = backlog_of(connection)
    connection.ask(command("HSET", HASH, "count", "many"))
    aggregate = ClientAggregate.parse(aggregate_of([1.0] * 40))
    append(connection, Batch({0: [Column.of_aggregate(f"{HOUR}:checkout.web-1", aggregate)]}))

    result = commit(backlog, read(backlog))

    assert isinstance(result, Exceptions)
    assert result.dead_messages == audit_of(connection)["dead_messages"] == 40
    assert_audit_balances(connection)


def dead_of(connection: Connection) -> list[list[str]]:
    """Return the fields of the entries in the dead stream."""
    entries = connection.ask(command("XRANGE", PartitionNames(0).dead, "-", "+"))
    return [[item.decode() for item in fields] for _, fields in entries]


def test_a_hash_without_its_count_is_not_sound(connection: Connection) -> None:
    """A hash with a sum and without a count is unsound, and is not taken for a new one."""
    connection.ask(command("HSET", HASH, "sum", "3", "min", "1", "max", "2"))
    append(connection, batch())
    backlog = backlog_of(connection)

    assert commit(backlog, read(backlog)).unsound == [f"{HASH} is not sound: count"]
    assert "count" not in hash_of(connection, HASH)


def test_a_string_in_the_place_of_a_hash_keeps_only_its_own_columns(
    connection: Connection,
) -> None:
    """A string in place of a hash makes dead letters of its own columns only."""
    connection.ask(command("SET", HASH, "by hand"))
    for i in range(5):
        append(connection, batch([float(i)]), batch([2.0, 3.0], key=f"other-{i}"))
    backlog = backlog_of(connection)

    result = commit(backlog, read(backlog))

    assert result == Exceptions(5, [f"{HASH} is not sound: type"], [])
    assert len(dead_of(connection)) == 5
    for i in range(5):
        assert hash_of(connection, PartitionNames(0).hour(f"{HOUR}:other-{i}"))["count"] == "2"
    assert_audit_balances(connection)


def test_a_full_redis_drains_what_is_not_sound_as_well(connection: Connection) -> None:
    """A commit that needs the dead stream is done while Redis is full."""
    connection.ask(command("SET", HASH, "by hand"))
    append(connection, batch(), batch(key="another"))
    backlog = backlog_of(connection)
    entries = read(backlog)
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    result = commit(backlog, entries)

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert isinstance(result, Exceptions)
    assert len(dead_of(connection)) == 1
    assert_audit_balances(connection)


@pytest.mark.parametrize(
    "name",
    [
        PartitionNames(0).audit,
        PartitionNames(0).keys,
        PartitionNames(0).backlog,
        PartitionNames(0).dead,
    ],
)
def test_a_foreign_key_in_the_place_of_our_audit_stops_the_commit(
    connection: Connection, name: str
) -> None:
    """A foreign key in place of one that a commit needs stops the commit, and is named."""
    backlog = backlog_of(connection)
    connection.ask(command("SET", HASH, "not sound, so that the dead stream is needed"))
    append(connection, batch())
    entries = read(backlog)
    connection.ask(command("DEL", name))
    connection.ask(command("SET", name, "by hand"))

    result = commit(backlog, entries)

    assert isinstance(result, StorageUnsoundError)
    assert name in str(result)
    assert connection.ask(command("XPENDING", STREAM, GROUP))[0] == 1


def test_burying_moves_an_entry_with_its_reason(connection: Connection) -> None:
    """A dead letter has its entry's fields and the reason, and is counted in the audit."""
    append(connection, batch([1.0, 2.0, 3.0]))
    backlog = backlog_of(connection)
    (entry,) = read(backlog)

    assert backlog.dead_letter(0, entry, "it looks wrong") is True

    ((_, fields),) = connection.ask(command("XRANGE", PartitionNames(0).dead, "-", "+"))
    assert [field.decode() for field in fields] == [
        *("id", entry.id.decode(), "reason", "it looks wrong"),
        *(f"{HOUR}:checkout.web-1", "1.0,2.0,3.0"),
    ]
    assert audit_of(connection) == {
        "appended": 1, "committed": 0, "dead": 1,
        "accepted": 3, "applied": 0, "dead_messages": 3, "length": 0,
    }  # fmt: skip
    assert hash_of(connection, PartitionNames(0).backlog) == {}
    assert backlog.dead_letter(0, entry, "again") is False
    assert commit(backlog, [entry]) is False


def test_another_group_on_a_stream_is_not_taken_for_ours(connection: Connection) -> None:
    """A foreign group on a stream does not hide entries from the workers' group."""
    connection.ask(command("XGROUP", "CREATE", STREAM, "debug", "$", "MKSTREAM"))
    append(connection, batch())

    assert len(read(backlog_of(connection))) == 1


def test_a_foreign_entry_is_counted_apart_and_takes_no_hour_from_the_backlog(
    connection: Connection,
) -> None:
    """A foreign entry is counted apart as a dead letter and leaves the backlog's counts alone."""
    ours = Column(f"{HOUR}:checkout.web-1", "no numbers", 1)
    append(connection, Batch({0: [ours]}))
    append(connection, batch())
    connection.ask(command("XADD", STREAM, "*", f"{HOUR}:x y", "1,2,3"))
    backlog = backlog_of(connection)
    broken, good, foreign = read(backlog)

    assert backlog.dead_letter(0, foreign, "not a key") is True
    assert hash_of(connection, PartitionNames(0).backlog) == {HOUR: "2"}
    assert_audit_balances(connection)
    assert backlog.dead_letter(0, broken, "no numbers") is True
    assert commit(backlog, [good]) is True

    assert audit_of(connection) == {
        "appended": 2, "committed": 1, "dead": 1, "foreign": 1,
        "accepted": 2, "applied": 1, "dead_messages": 1, "length": 0,
    }  # fmt: skip
    assert_audit_balances(connection)
    assert len(dead_of(connection)) == 2


@pytest.mark.parametrize(
    "name", [PartitionNames(0).audit, PartitionNames(0).dead, PartitionNames(0).backlog]
)
def test_a_foreign_key_in_the_place_of_our_audit_stops_a_dead_letter(
    connection: Connection, name: str
) -> None:
    """A foreign key in place of one that a dead letter needs stops it, and is named."""
    backlog = backlog_of(connection)
    append(connection, batch())
    (entry,) = read(backlog)
    connection.ask(command("DEL", name))
    connection.ask(command("SET", name, "by hand"))

    with pytest.raises(StorageUnsoundError, match=re.escape(name)):
        backlog.dead_letter(0, entry, "a test")
    assert connection.ask(command("XLEN", STREAM)) == 1
