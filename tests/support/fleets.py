"""Messages of a fleet of keys are appended, and committed as a worker does."""

from collections.abc import Mapping, Sequence

from metrics.backlog import NEW, Backlog, Commit
from metrics.connection import Connection
from metrics.fold import fold
from metrics.keyspace import partition_of
from tests.query.test_query import AFTER
from tests.support.clusters import PARTITIONS
from tests.support.streams import HOUR, NEVER_LATE_S, append, batch


def fleet(size: int) -> list[str]:
    """Return the keys of so many app instances."""
    return [f"checkout.web-{i}" for i in range(size)]


def fill(connection: Connection, values: Mapping[str, Sequence[float]], hour: str = HOUR) -> None:
    """Append the values of some keys in one hour, and commit them."""
    batches = [
        batch(each, key=key, hour=hour, partition=partition_of(key, PARTITIONS))
        for key, each in values.items()
    ]
    assert append(connection, *batches) == [None] * len(batches)
    commit_all(connection)


def commit_all(connection: Connection) -> None:
    """Commit the backlogs of all partitions."""
    backlog = Backlog(connection, consumer="worker-1", retention_days=36500)
    backlog.create_groups(range(PARTITIONS))
    found = backlog.read(dict.fromkeys(range(PARTITIONS), NEW), 1000)
    commits = [
        Commit(number, entries, fold(entries, lateness_s=NEVER_LATE_S))
        for number, entries in found.items()
        if entries
    ]
    assert backlog.commit(commits, AFTER) == [True] * len(commits)
