"""Batches are made and appended, and what Redis holds is looked at."""

from collections.abc import Sequence
from dataclasses import asdict

from metrics.audit import PartitionAudit, read_audits
from metrics.connection import Connection, command, done
from metrics.entry import Column, write_values
from metrics.errors import MetricsError
from metrics.idempotency import IdempotencyKey
from metrics.stream import AppendCalls, Batch, failure_of

HOUR = "2026-11-23T14"

RARE = ("foreign", "deleted")
"""Counts of the audit that are mostly 0."""

NEVER_LATE_S = 1e9
"""An allowed lateness by which messages of that hour are on time whenever a test runs."""


def batch(
    values: Sequence[float] = (1.0,),
    *,
    key: str = "checkout.web-1",
    hour: str = HOUR,
    partition: int = 0,
    idempotency_key: IdempotencyKey | None = None,
) -> Batch:
    """Return a batch of one column."""
    column = Column(f"{hour}:{key}", write_values(list(values)), len(values))
    return Batch({partition: [column]}, idempotency_key)


def append(connection: Connection, *batches: Batch, limit: int = 1000) -> list[MetricsError | None]:
    """Append batches as a collector does."""
    group = AppendCalls(batches, backlog_limit_entries=limit, window_s=900)
    settled = group.read_replies(connection.execute(group.calls))
    return [failure_of(each, failures) for each, failures in zip(batches, settled, strict=True)]


def hash_of(connection: Connection, name: str) -> dict[str, str]:
    """Return a hash as redis-cli shows it."""
    items = [item.decode() for item in connection.ask(command("HGETALL", name))]
    return dict(zip(items[::2], items[1::2], strict=True))


def audit_of(connection: Connection, partition: int = 0) -> dict[str, int]:
    """Return the audit of a partition by the names of its counts, the rare ones only if not 0."""
    audit = asdict(_audit_in(connection, partition))
    del audit["partition"], audit["oldest_s"]
    return {name: count for name, count in audit.items() if count or name not in RARE}


def assert_audit_balances(connection: Connection, partition: int = 0) -> None:
    """Check the equations of design.md, section 6."""
    audit = _audit_in(connection, partition)
    assert audit.balance, audit


def _audit_in(connection: Connection, partition: int) -> PartitionAudit:
    return done(read_audits(connection, [partition])[partition])
