"""What a worker has done since it started, as Prometheus series."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from metrics.instruments import SIZES, Histogram, RedisErrors
from metrics.shared_cells import SharedCells


def _commit_seconds() -> Histogram:
    return Histogram(
        SharedCells(),
        "metrics_worker_commit_seconds",
        "How long Redis took for the commits that were sent together.",
    )


def _commit_messages() -> Histogram:
    return Histogram(
        SharedCells(),
        "metrics_worker_commit_messages",
        "How many messages were in a commit that Redis did.",
        bounds=SIZES,
    )


def _redis_errors() -> RedisErrors:
    return RedisErrors(SharedCells(), "metrics_worker_redis_errors")


@dataclass(slots=True, eq=False)
class Counters:
    """Counts of one worker process; a restart begins at 0, the audit in Redis go on.

    One thread counts, any may ``collect``. Plain numbers, so that counting costs nothing.

    Attributes:
        commits: Commits that Redis did.
        entries_committed: Entries in them.
        messages_committed: Messages in those entries.
        commits_refused: Commits that the fence refused: another worker had an entry of theirs.
        entries_dead_lettered: Entries that were moved to the dead stream.
        messages_dead: Messages whose hash was not sound, and that went to the dead stream.
        entries_claimed: Entries that were taken over from another worker.
        commit_seconds: How long Redis took for the commits of a round.
        commit_messages: How many messages commits had that Redis did.
        redis_errors: Calls to Redis that failed.
    """

    commits: int = 0
    entries_committed: int = 0
    messages_committed: int = 0
    commits_refused: int = 0
    entries_dead_lettered: int = 0
    messages_dead: int = 0
    entries_claimed: int = 0
    commit_seconds: Histogram = field(default_factory=_commit_seconds)
    commit_messages: Histogram = field(default_factory=_commit_messages)
    redis_errors: RedisErrors = field(default_factory=_redis_errors)

    def committed(self, entries: int, messages: int) -> None:
        """Count a commit that Redis did, of so many entries with so many messages."""
        self.commits += 1
        self.entries_committed += entries
        self.messages_committed += messages
        self.commit_messages.observe(messages)

    def refused(self) -> None:
        """Count a commit that the fence refused."""
        self.commits_refused += 1

    def dead_lettered(self) -> None:
        """Count an entry that was moved to the dead stream."""
        self.entries_dead_lettered += 1

    def died(self, messages: int) -> None:
        """Count messages that went to the dead stream as their hash was not sound."""
        self.messages_dead += messages

    def claimed(self, entries: int) -> None:
        """Count entries that were taken over from another worker."""
        self.entries_claimed += entries

    def collect(self) -> Iterator[Metric]:
        """Yield the series; for a registry of prometheus_client."""
        for name, text, count in (
            ("commits", "Commits that Redis did", self.commits),
            ("entries_committed", "Entries that were committed", self.entries_committed),
            ("messages_committed", "Messages that were committed", self.messages_committed),
            ("commits_refused", "Commits that the fence refused", self.commits_refused),
            ("entries_buried", "Entries moved to the dead stream", self.entries_dead_lettered),
            ("messages_dead", "Messages whose hash was not sound", self.messages_dead),
            ("entries_claimed", "Entries taken over from other workers", self.entries_claimed),
        ):
            yield CounterMetricFamily(
                f"metrics_worker_{name}", f"{text}, by this worker since it started.", count
            )
        for each in (self.commit_seconds, self.commit_messages, self.redis_errors):
            yield from each.collect()
