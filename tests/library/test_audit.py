"""The audit is counted by the scripts, and read in one step, right or wrong as it is."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.audit import PartitionAudit, read_audits
from metrics.backlog import NEW, Backlog, Commit
from metrics.connection import Call, Connection, command
from metrics.errors import MetricsError, StorageUnavailableError, StorageUnsoundError
from metrics.fold import fold
from metrics.keyspace import PartitionNames
from metrics.node import Reply
from ops.local.ports import free_port
from tests.support.streams import NEVER_LATE_S, append, batch

pytestmark = pytest.mark.every_server

NAMES = PartitionNames(0)
EMPTY = PartitionAudit(0, *[0] * 7)
ENTRY_COUNTS = ("appended", "committed", "dead")
MESSAGE_COUNTS = ("accepted", "applied", "dead_messages")

counts = st.integers(0, 10**15)
others = st.integers(-(10**15), 10**15).filter(bool)


class Without(Connection):
    """The way to a Redis on which names with a prefix are away, as on a node of a cluster."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self.executed: list[Sequence[Call]] = []

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list[Reply | MetricsError]:
        """Pass the calls on, and lose some replies."""
        self.executed.append(calls)
        return [
            StorageUnavailableError("its node is away")
            if (call.key or "").startswith(self._name)
            else reply
            for call, reply in zip(calls, self._connection.execute(calls), strict=True)
        ]


def audit_in(connection: Connection) -> PartitionAudit | MetricsError:
    """Return the audit of partition 0."""
    return read_audits(connection, [0])[0]


def test_a_partition_that_nothing_came_into_has_an_empty_audit(connection: Connection) -> None:
    """The audit of an unused partition is all zeros and balances, and reading it writes nothing."""
    assert audit_in(connection) == EMPTY
    assert EMPTY.balance
    assert connection.ask(command("DBSIZE")) == 0


def test_the_audit_balances_at_every_step_of_an_entry(connection: Connection) -> None:
    """The audit balances after an append, a delivery, a commit and a dead letter."""
    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups([0])
    seen = []

    def look() -> None:
        seen.append(audit_in(connection))

    append(connection, batch([1.0, 2.0]))
    look()
    append(connection, batch([3.0, 4.0, 5.0]))
    look()
    first, second = backlog.read({0: NEW}, 100)[0]
    look()
    backlog.commit([Commit(0, [first], fold([first], lateness_s=NEVER_LATE_S))], 0.0)
    look()
    backlog.dead_letter(0, second, "looks wrong")
    look()

    counted = {"partition": 0, "committed": 0, "dead": 0, "applied": 0, "dead_messages": 0}
    assert seen == [
        PartitionAudit(**{**counted, "appended": 1, "accepted": 2, "length": 1}),
        two := PartitionAudit(**{**counted, "appended": 2, "accepted": 5, "length": 2}),
        two,
        one := replace(two, committed=1, applied=2, length=1),
        replace(one, dead=1, dead_messages=3, length=0),
    ]
    assert all(audit.balance for audit in seen)


def balanced(
    committed: int, dead: int, length: int, applied: int, dead_messages: int
) -> PartitionAudit:
    """Return an audit that balances, of a partition whose backlog has two messages an entry."""
    return PartitionAudit(
        partition=0,
        appended=committed + dead + length,
        committed=committed,
        dead=dead,
        accepted=applied + dead_messages + 2 * length,
        applied=applied,
        dead_messages=dead_messages,
        length=length,
    )


@given(audit=st.builds(balanced, *[counts] * 5))
def test_the_audit_balances_when_all_that_came_is_somewhere(audit: PartitionAudit) -> None:
    """An audit balances if appended is the sum of committed, dead and in the stream."""
    assert audit.balance


@given(
    audit=st.builds(balanced, *[counts] * 5),
    name=st.sampled_from([*ENTRY_COUNTS, "length"]),
    more=others,
)
def test_an_entry_that_is_lost_or_there_twice_shows(
    audit: PartitionAudit, name: str, more: int
) -> None:
    """An audit does not balance if any count of entries is wrong."""
    assert not replace(audit, **{name: getattr(audit, name) + more}).balance


@given(
    audit=st.builds(balanced, counts, counts, st.just(0), counts, counts),
    name=st.sampled_from(MESSAGE_COUNTS),
    more=others,
)
def test_a_message_that_is_lost_or_there_twice_shows(
    audit: PartitionAudit, name: str, more: int
) -> None:
    """With an empty backlog an audit does not balance if any count of messages is wrong."""
    assert not replace(audit, **{name: getattr(audit, name) + more}).balance


def test_an_entry_that_somebody_deletes_shows(connection: Connection) -> None:
    """Entries that somebody trims unbalance the audit of their partition and of no other."""
    append(connection, batch(), batch(partition=1))
    connection.ask(command("XTRIM", NAMES.stream, "MAXLEN", 0))

    audit = read_audits(connection, [0, 1])

    assert [audit[0].balance, audit[1].balance] == [False, True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, "many") for name in (*ENTRY_COUNTS, *MESSAGE_COUNTS)),
        *(("dead", text) for text in ("", "-1", "+1", "1.0", "1e3", " 1", "1\n", "٣", "9" * 19)),
    ],
)
def test_counts_that_are_no_numbers_are_unsound(
    connection: Connection, name: str, text: str
) -> None:
    """A count that is no number is an error with its name; other partitions are read."""
    connection.ask(command("HSET", NAMES.audit, name, text))

    audit = read_audits(connection, [0, 1])

    assert isinstance(audit[0], StorageUnsoundError)
    assert str(audit[0]).startswith(f"metrics:{{0}}:audit is not sound: {name} is '")
    assert audit[1] == replace(EMPTY, partition=1)


@pytest.mark.parametrize("name", [NAMES.audit, NAMES.stream])
def test_a_foreign_key_in_the_place_of_the_audit_is_unsound(
    connection: Connection, name: str
) -> None:
    """A foreign key in place of the audit or the stream is unsound; other partitions are read."""
    connection.ask(command("SET", name, "by hand"))

    audit = read_audits(connection, [0, 1])

    assert isinstance(audit[0], StorageUnsoundError)
    assert audit[1] == replace(EMPTY, partition=1)


def test_one_partition_that_is_away_leaves_the_others_readable(connection: Connection) -> None:
    """A partition that is away is an error of its own, and all are asked in one round trip."""
    append(connection, batch(partition=0), batch(partition=1), batch(partition=2))
    partly = Without(connection, PartitionNames(1).stream)

    audit = read_audits(partly, range(3))

    assert [type(audit[number]) for number in range(3)] == [
        PartitionAudit,
        StorageUnavailableError,
        PartitionAudit,
    ]
    assert [audit[0].accepted, audit[2].accepted] == [1, 1]
    assert [len(calls) for calls in partly.executed] == [3]


def test_without_redis_each_partition_says_so() -> None:
    """Without Redis each partition has an error in place of its audit, and nothing is raised."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)

    audit = read_audits(nobody, range(2))

    assert [type(audit[number]) for number in range(2)] == [StorageUnavailableError] * 2


def test_the_audit_can_be_read_while_redis_is_full(connection: Connection) -> None:
    """The audit can be read while Redis is full, even if its script is not loaded."""
    append(connection, batch())
    connection.ask(command("SCRIPT", "FLUSH"))
    connection.ask(command("CONFIG", "SET", "maxmemory", 1))

    audit = audit_in(connection)

    connection.ask(command("CONFIG", "SET", "maxmemory", 0))
    assert audit == replace(EMPTY, appended=1, accepted=1, length=1)


def test_the_audit_tells_the_age_of_the_oldest_entry(connection: Connection) -> None:
    """The audit has the age of the oldest entry by the clock of Redis; 0 without a backlog."""
    assert audit_in(connection).oldest_s == 0
    seconds, _ = connection.ask(command("TIME"))
    connection.ask(command("XADD", NAMES.stream, f"{int(seconds) - 100}000-1", "a", "1"))
    append(connection, batch([1.0]))

    oldest_s = audit_in(connection).oldest_s

    assert oldest_s is not None
    assert oldest_s >= 100
    seconds, _ = connection.ask(command("TIME"))
    connection.ask(command("FLUSHALL"))
    connection.ask(command("XADD", NAMES.stream, f"{int(seconds) + 100}000-1", "a", "1"))
    assert audit_in(connection).oldest_s == 0
