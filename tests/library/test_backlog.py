"""Commits, dead letters, idle consumers: each is one step, and needs the entries to be its own."""

import math

import pytest

from metrics.aggregate import COUNT_MAX, Aggregate
from metrics.backlog import NEW, START, Backlog, Commit, Exceptions
from metrics.connection import Connection, command
from metrics.entry import PendingEntry
from metrics.fold import fold
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames
from metrics.merged import merged, merged_of
from tests.support.streams import (
    HOUR,
    NEVER_LATE_S,
    append,
    assert_audit_balances,
    audit_of,
    batch,
    hash_of,
)

pytestmark = pytest.mark.every_server

STREAM = PartitionNames(0).stream
HASH = PartitionNames(0).hour(f"{HOUR}:checkout.web-1")
NOW = float(Hour.parse(HOUR).end)


def backlog_of(connection: Connection, consumer: str = "worker-1") -> Backlog:
    """Return partition 0 as a consumer sees it."""
    backlog = Backlog(connection, consumer=consumer, retention_days=365_00)
    backlog.create_groups([0])
    return backlog


def read(backlog: Backlog, cursor: bytes = NEW) -> list[PendingEntry]:
    """Read partition 0."""
    entries = backlog.read({0: cursor}, 100)[0]
    assert isinstance(entries, list)
    return entries


def commit_of(entries: list[PendingEntry]) -> Commit:
    """Fold entries into a commit."""
    return Commit(0, entries, fold(entries, lateness_s=NEVER_LATE_S))


def commit(backlog: Backlog, entries: list[PendingEntry]) -> object:
    """Commit entries."""
    return backlog.commit([commit_of(entries)], NOW)[0]


def test_a_commit_applies_acks_and_deletes(connection: Connection) -> None:
    """A commit applies its entries to the hash, acks and deletes them, and counts them."""
    append(connection, batch([10.0, 30.0]))
    append(connection, batch([20.5]))
    backlog = backlog_of(connection)

    assert commit(backlog, read(backlog)) is True

    found = hash_of(connection, HASH)
    assert (found["count"], found["sum"], found["min"], found["max"]) == (
        "3",
        "60.5",
        "10.0",
        "30.0",
    )
    assert sum(int(count) for name, count in found.items() if name.startswith("b:")) == 3
    assert connection.ask(command("XPENDING", STREAM, GROUP))[0] == 0
    assert audit_of(connection) == {
        "appended": 2, "committed": 2, "dead": 0,
        "accepted": 3, "applied": 3, "dead_messages": 0, "length": 0,
    }  # fmt: skip
    assert hash_of(connection, PartitionNames(0).backlog) == {}


def test_late_messages_are_counted_in_the_hash(connection: Connection) -> None:
    """A commit adds the number of late messages to the hash, and none where all were on time."""
    backlog = backlog_of(connection)
    append(connection, batch([1.0, 2.0]))
    assert commit(backlog, read(backlog)) is True
    assert "late" not in hash_of(connection, HASH)

    for values in ([3.0], [4.0, 5.0]):
        append(connection, batch(values))
        entries = read(backlog)
        late = Commit(0, entries, fold(entries, lateness_s=0))
        assert backlog.commit([late], NOW) == [True]

    found = hash_of(connection, HASH)
    assert (found["count"], found["late"]) == ("5", "3")
    assert merged_of({k.encode(): v.encode() for k, v in found.items()}).late == 3


def test_commits_add_up(connection: Connection) -> None:
    """A second commit merges with the hash, and each number has its shortest text."""
    backlog = backlog_of(connection)
    for value in (0.1, 0.2, 1e-300, 5e-324, 123456789.125):
        append(connection, batch([value]))
        assert commit(backlog, read(backlog)) is True

    found = hash_of(connection, HASH)
    assert found["count"] == "5"
    assert float(found["sum"]) == math.fsum([0.1, 0.2, 1e-300, 5e-324, 123456789.125])
    assert found["sum"] == "123456789.425"
    assert (float(found["min"]), float(found["max"])) == (5e-324, 123456789.125)


def test_few_buckets_and_many_are_merged_alike(connection: Connection) -> None:
    """Few or many buckets merge into a hash that has few or many."""
    backlog = backlog_of(connection)
    few, many = [100.0, 100.0, 7.5], [float(value) for value in range(1, 1000)]
    for values in (few, many, few, many):
        append(connection, batch(values))
        assert commit(backlog, read(backlog)) is True

    fields = {name.encode(): text.encode() for name, text in hash_of(connection, HASH).items()}
    assert merged_of(fields) == Aggregate.of([*few, *many, *few, *many])


def test_a_sum_stops_at_the_largest_double(connection: Connection) -> None:
    """A sum stops at the largest double."""
    backlog = backlog_of(connection)
    for _ in range(2):
        append(connection, batch([1.7e308]))
        assert commit(backlog, read(backlog)) is True

    assert float(hash_of(connection, HASH)["sum"]) == 1.7976931348623157e308


def test_a_hash_expires_with_the_retention(connection: Connection) -> None:
    """A hash expires when the retention since the end of its hour is over."""
    backlog = backlog_of(connection)
    append(connection, batch())
    commit(backlog, read(backlog))

    now = int(connection.ask(command("TIME"))[0])
    ttl = connection.ask(command("TTL", HASH))
    assert ttl == pytest.approx(Hour.parse(HOUR).end + 36500 * 86400 - now, abs=2)


def test_keys_are_listed_with_their_newest_hour(connection: Connection) -> None:
    """A late message does not make a key older, and a key past the retention is removed."""
    backlog = backlog_of(connection)
    for hour, key in (("2026-11-23T14", "a"), ("2026-11-23T02", "a"), ("1901-01-01T00", "old")):
        append(connection, batch(key=key, hour=hour))
        commit(backlog, read(backlog))

    assert connection.ask(command("ZRANGE", PartitionNames(0).keys, 0, -1, "WITHSCORES")) == [
        b"a",
        b"2026112314",
    ]


def test_the_same_entries_commit_once(connection: Connection) -> None:
    """A commit that is sent again changes nothing."""
    append(connection, batch())
    backlog = backlog_of(connection)
    entries = read(backlog)

    assert [commit(backlog, entries), commit(backlog, entries)] == [True, False]
    assert hash_of(connection, HASH)["count"] == "1"
    assert_audit_balances(connection)


def test_a_zombie_is_refused(connection: Connection) -> None:
    """A commit of entries that another worker has claimed changes nothing."""
    append(connection, batch())
    zombie, heir = backlog_of(connection, "zombie"), backlog_of(connection, "heir")
    entries = read(zombie)
    claimed = heir.claim({0: START}, 100, 0)[0]

    assert commit(zombie, entries) is False
    assert connection.ask(command("EXISTS", HASH)) == 0
    assert commit(heir, list(claimed.entries)) is True
    assert commit(zombie, entries) is False
    assert hash_of(connection, HASH)["count"] == "1"


def test_counts_that_reach_their_limit_stay_there(connection: Connection) -> None:
    """A count stops at COUNT_MAX, which is reported once, and the hash stays sound."""
    backlog = backlog_of(connection)
    append(connection, batch([1.0, 50.0]))
    commit(backlog, read(backlog))
    (low, high) = (name for name in hash_of(connection, HASH) if name.startswith("b:"))
    counts = ("count", COUNT_MAX - 1, low, 1, high, COUNT_MAX - 2)
    connection.ask(command("HSET", HASH, *counts, "sum", 50.0 * COUNT_MAX))

    said = []
    for value in (1.0, 50.0, 50.0, 50.0):
        append(connection, batch([value]))
        result = commit(backlog, read(backlog))
        said += result.full if isinstance(result, Exceptions) else []

    found = hash_of(connection, HASH)
    assert said == [f"{HASH} count", f"{HASH} {high}"]
    assert (found["count"], found[low], found[high]) == (str(COUNT_MAX), "2", str(COUNT_MAX))
    items = connection.ask(command("HGETALL", HASH))
    assert merged([items]).count == COUNT_MAX
    assert_audit_balances(connection)


def test_a_full_redis_still_drains(connection: Connection) -> None:
    """A commit is done while Redis is full."""
    backlog = backlog_of(connection)
    append(connection, batch())
    entries = read(backlog)
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    result = commit(backlog, entries)

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert result is True
    assert audit_of(connection)["length"] == 0


def test_an_hour_is_drained_when_its_last_entry_is_committed(connection: Connection) -> None:
    """The backlog counts entries by hour, and an hour is gone with its last one."""
    backlog = backlog_of(connection)
    for hour in (HOUR, HOUR, "2026-11-23T13"):
        append(connection, batch(hour=hour))
    first, *others = read(backlog)

    commit(backlog, [first])
    assert hash_of(connection, PartitionNames(0).backlog) == {HOUR: "1", "2026-11-23T13": "1"}
    commit(backlog, others)
    assert hash_of(connection, PartitionNames(0).backlog) == {}


def test_one_foreign_entry_among_many_stops_the_whole_commit(connection: Connection) -> None:
    """A commit changes nothing if one of its entries is committed already."""
    for value in (1.0, 2.0, 3.0):
        append(connection, batch([value]))
    backlog = backlog_of(connection)
    entries = read(backlog)
    assert commit(backlog, entries[1:2]) is True

    assert commit(backlog, entries) is False
    assert hash_of(connection, HASH)["count"] == "1"
    assert commit(backlog, [entries[0], entries[2]]) is True
    assert hash_of(connection, HASH)["sum"] == "6"


def test_a_hash_may_have_any_number_of_buckets(connection: Connection) -> None:
    """A hash can have more buckets than fit on Lua's stack."""
    append(connection, batch([10.0 ** (i / 20 - 300) for i in range(12_000)]))
    append(connection, batch([10.0 ** (i / 20 - 300) for i in range(12_000)]))
    backlog = backlog_of(connection)

    assert commit(backlog, read(backlog)) is True

    assert hash_of(connection, HASH)["count"] == "24000"
    assert connection.ask(command("HLEN", HASH)) == 12_004
    assert_audit_balances(connection)
