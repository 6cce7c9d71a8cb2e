"""What tests of the streams share: batches, appends, and a look at what Redis holds."""

from collections.abc import Sequence

from metrics.connection import Connection, command
from metrics.entry import Column, write_values
from metrics.errors import MetricsError
from metrics.keyspace import Partition
from metrics.stream import Batch, Group, Mark

HOUR = "2026-11-23T14"


def batch(
    values: Sequence[float] = (1.0,),
    *,
    key: str = "checkout.web-1",
    hour: str = HOUR,
    partition: int = 0,
    mark: Mark | None = None,
) -> Batch:
    """Return a batch of one column."""
    column = Column(f"{hour}:{key}", write_values(list(values)), len(values))
    return Batch({partition: [column]}, mark)


def append(connection: Connection, *batches: Batch, limit: int = 1000) -> list[MetricsError | None]:
    """Append batches as a collector does."""
    group = Group(batches, backlog_limit_entries=limit, window_s=900)
    return group.settle(connection.execute(group.calls))


def hash_of(connection: Connection, name: str) -> dict[str, str]:
    """Return a hash as redis-cli shows it."""
    items = [item.decode() for item in connection.ask(command("HGETALL", name))]
    return dict(zip(items[::2], items[1::2], strict=True))


def books_of(connection: Connection, partition: int = 0) -> dict[str, int]:
    """Return the audit of a partition, with the length of its stream."""
    books = dict.fromkeys(
        ("appended", "committed", "dead", "accepted", "applied", "dead_messages"), 0
    )
    books |= {
        name: int(value) for name, value in hash_of(connection, Partition(partition).audit).items()
    }
    books["length"] = connection.ask(command("XLEN", Partition(partition).stream))
    return books


def assert_books_balance(connection: Connection, partition: int = 0) -> None:
    """Check the equations of design.md, section 6."""
    books = books_of(connection, partition)
    assert books["appended"] == books["committed"] + books["dead"] + books["length"], books
    if books["length"] == 0:
        assert books["accepted"] == books["applied"] + books["dead_messages"], books
