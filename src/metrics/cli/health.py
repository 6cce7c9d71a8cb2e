"""What is known of the pipeline, and what of it is not as it should be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metrics.audit import PartitionAudit


@dataclass(frozen=True, slots=True)
class Consumer:
    """A worker, as the consumer groups see it.

    Attributes:
        name: Its name.
        pending: Entries that it has got and not committed.
        idle_s: How long ago it last got any; since Redis 7.2, or asked for any.
    """

    name: str
    pending: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """The pipeline at one moment.

    Attributes:
        audits: Of the partitions that can be read.
        unreadable: Partition -> why it cannot be read.
        oldest_s: Age of the oldest entry in the backlog; None if it is empty.
        consumers: The workers.
        dead_letters: How many wait for somebody.
        layout: What Redis keeps of it.
        expected_layout: What this version writes there, as far as it differs.
        keys: How many keys have messages in the retention.
        new_keys: How many of them are new in this hour.
    """

    audits: Sequence[PartitionAudit]
    unreadable: Mapping[int, str]
    oldest_s: float | None
    consumers: Sequence[Consumer]
    dead_letters: int
    layout: Mapping[str, str]
    expected_layout: Mapping[str, str]
    keys: int
    new_keys: int = 0

    @property
    def backlog(self) -> int:
        """Entries that are not committed yet."""
        return sum(audit.length for audit in self.audits)


KEYS_SHARE_MAX = 0.8
"""Beyond this part of METRICS_KEYS_MAX somebody should look which keys there are."""


def problems(
    health: Health,
    *,
    age_max_s: float,
    backlog_limit: int,
    keys_max: int,
    new_keys_max: int | None = None,
) -> list[str]:
    """Return what is not as it should be, in sentences; nothing if all is well.

    Args:
        health: The pipeline.
        age_max_s: How old an entry in the backlog may be.
        backlog_limit: Entries that a partition may have, METRICS_BACKLOG_LIMIT.
        keys_max: How many keys there may be, METRICS_KEYS_MAX.
        new_keys_max: How many may be new in an hour, METRICS_NEW_KEYS_PER_HOUR; any if not given.
    """
    found = [f"partition {number}: {why}" for number, why in health.unreadable.items()]
    found += [
        f"{name} of the layout is {health.layout.get(name, 'missing')} in Redis and {value} here"
        for name, value in health.expected_layout.items()
    ]
    found += [
        f"the audit of partition {audit.partition} does not balance"
        for audit in health.audits
        if not audit.balance
    ]
    found += [
        f"the backlog of partition {audit.partition} is at its limit of {backlog_limit} entries"
        for audit in health.audits
        if audit.length >= backlog_limit
    ]
    if health.oldest_s is not None and health.oldest_s > age_max_s:
        found.append(
            f"the oldest entry of the backlog has waited for {health.oldest_s:.0f} s, more than "
            f"{age_max_s:g}: is a worker running?"
        )
    found += _of_keys(health.keys, "keys", "METRICS_KEYS_MAX", keys_max)
    if new_keys_max is not None:
        limit = "METRICS_NEW_KEYS_PER_HOUR"
        found += _of_keys(health.new_keys, "new keys in this hour", limit, new_keys_max)
    if health.dead_letters:
        found.append(f"{health.dead_letters} dead letters: python -m metrics dead list")
    return found


def _of_keys(count: int, what: str, limit: str, most: int) -> list[str]:
    if count >= most:
        return [
            f"there are as many {what} as {limit} allows, {count} of {most}: new ones are refused"
        ]
    if count > KEYS_SHARE_MAX * most:
        return [f"there are {count} {what}, and {limit} is {most}: beyond it new ones are refused"]
    return []
