"""The aggregator: reads entries of all partitions, folds them and commits, again and again."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from metrics.backlog import NEW, START, Backlog, Commit, Exceptions
from metrics.entry import LARGE_COLUMNS, PendingEntry
from metrics.errors import GroupMissingError, MetricsError, SettingsError
from metrics.throttled_log import ThrottledLog
from workers.commits import commits_of
from workers.counters import Counters
from workers.large_entries import TURN_S, LargeEntries

LINGER_MIN_S, LINGER_MAX_S = 0.1, 0.2
LINGER_SHARE = 3.0
"""Pause between reads, as a share of the time that the last one took until all was committed: the
larger commits are, the less each message costs; where there is little to do it comes at once."""

PAUSE_AFTER_ERROR_S = 0.5

ENTRIES_MAX = 128
"""Entries of a partition that are read at once: with 32 KB each, 4 MB."""

ENTRIES_BESIDE_LARGE = 16
"""And while large ones wait: what is read is to be committed before another worker claims it."""

DELIVERIES_MAX = 3
"""An entry that cannot be read is dead-lettered at this delivery; before, other workers may try."""

CONSUMER_IDLE_S = 86_400
"""Consumers that were away for so long, with nothing pending, are removed."""

_log = logging.getLogger(__name__)


class Aggregator:
    """One worker on all partitions.

    It begins with what is pending for its consumer since an earlier life.

    Args:
        backlog: The streams, as this worker's consumer sees them.
        ensure_layout: Checks that Redis holds what this process expects.
        partitions: How many there are.
        claim_s: Idle time after which an entry is taken over from another worker.
        lateness_s: How long after the end of its hour a message is not late yet.
        counters: Count what it does.
        large_columns: An entry with more key-hours waits for others.
        now: Clock of the retention, Unix seconds.
        monotonic: Clock of the claims, seconds.
    """

    def __init__(
        self,
        backlog: Backlog,
        *,
        ensure_layout: Callable[[], None],
        partitions: int,
        claim_s: float,
        lateness_s: float,
        counters: Counters | None = None,
        large_columns: int = LARGE_COLUMNS,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backlog = backlog
        self._ensure_layout = ensure_layout
        self._partitions = range(partitions)
        self._without_group = set(self._partitions)
        self._errors: dict[int, MetricsError] = {}
        self._claim_s = claim_s
        self._lateness_s = lateness_s
        self._counters = counters or Counters()
        self._now = now
        self._monotonic = monotonic
        self._large = LargeEntries(large_columns)
        self._entries_max = ENTRIES_MAX
        self._cursors = dict.fromkeys(self._partitions, START)
        self._claims: dict[int, bytes] = {}
        self._claims_due = monotonic() + claim_s
        self._idle_consumers_due = monotonic()
        self._state = ""
        self._log = ThrottledLog(_log, monotonic=monotonic)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask ``run`` to return after the step it is in. Safe in a signal handler's thread."""
        self._stopping.set()

    def run(self) -> None:
        """Fold until stopped; faults of Redis are waited out.

        Raises:
            SettingsError: If Redis holds what other settings have made.
        """
        while not self._stopping.is_set():
            began = self._monotonic()
            try:
                pause_s = 0.0 if self.run_once() else linger_s(self._monotonic() - began)
                self._log_progress()
            except SettingsError:
                raise
            except MetricsError as error:
                self._log_state(f"cannot go on, trying again: {error}", logging.ERROR)
                self.recover(self._partitions)
                pause_s = PAUSE_AFTER_ERROR_S
            self._stopping.wait(pause_s)

    def _log_progress(self) -> None:
        if self._errors:
            numbers = ", ".join(map(str, sorted(self._errors)))
            error = next(iter(self._errors.values()))
            self._log_state(
                f"partitions {numbers} cannot go on, trying again: {error}", logging.ERROR
            )
        else:
            self._log_state("going on", logging.INFO)

    def _log_state(self, state: str, level: int) -> None:
        """Log how it goes, once each time that it changes."""
        if state != self._state:
            self._state = state
            _log.log(level, "%s", state)

    def run_once(self) -> bool:
        """Read what there is, and commit it. A partition that cannot go on stops no other.

        Returns:
            Whether there may be more to read at once.

        Raises:
            MetricsError: If no partition can go on; nothing is lost by it.
        """
        self._ensure_layout()
        self._errors = {}
        self._create_groups()
        entries = self._read()
        is_full = any(len(pending) == self._entries_max for pending in entries.values())
        for number, claimed in self._claimed(entries).items():
            entries.setdefault(number, []).extend(claimed)
        small = {
            number: self._large.keep(number, self._without_deleted(number, pending))
            for number, pending in entries.items()
        }
        self._fold(small)
        self._fold_large()
        self._delete_idle_consumers()
        if len(self._errors) == len(self._partitions):
            raise self._errors[0]
        return is_full or bool(self._claims) or bool(self._large)

    def recover(self, partitions: Sequence[int]) -> None:
        """Read again what is pending for this consumer: it may have got more than it knows."""
        self._cursors.update(dict.fromkeys(partitions, START))
        self._large.forget(partitions)

    def _create_groups(self) -> None:
        if self._without_group:
            for number, error in self._backlog.create_groups(sorted(self._without_group)).items():
                if error is None:
                    self._without_group.discard(number)
                else:
                    self._record_error(number, error)

    def _read(self) -> dict[int, list[PendingEntry]]:
        cursors = {
            number: cursor
            for number, cursor in self._cursors.items()
            if number not in self._without_group and not self._large.is_full(number)
        }
        found: dict[int, list[PendingEntry]] = {}
        self._entries_max = ENTRIES_BESIDE_LARGE if self._large else ENTRIES_MAX
        for number, entries in self._backlog.read(cursors, self._entries_max).items():
            if isinstance(entries, MetricsError):
                self._record_error(number, entries)
            elif entries:
                found[number] = entries
                if self._cursors[number] != NEW:
                    self._cursors[number] = entries[-1].id
            else:
                self._cursors[number] = NEW
        return found

    def _claimed(self, read: Mapping[int, list[PendingEntry]]) -> dict[int, list[PendingEntry]]:
        if not self._claims and self._monotonic() >= self._claims_due:
            self._claims_due = self._monotonic() + self._claim_s / 2
            self._claims = dict.fromkeys(self._partitions, START)
        for number in self._errors.keys() | self._without_group:
            self._claims.pop(number, None)
        if not self._claims:
            return {}
        pages = self._backlog.claim(self._claims, ENTRIES_MAX, int(self._claim_s * 1000))
        found: dict[int, list[PendingEntry]] = {}
        for number, page in pages.items():
            if isinstance(page, MetricsError):
                self._record_error(number, page)
                del self._claims[number]
                continue
            # This consumer is offered its own, too.
            known = {*self._large.waiting_in(number), *(entry.id for entry in read.get(number, ()))}
            found[number] = [entry for entry in page.entries if entry.id not in known]
            self._counters.claimed(len(found[number]))
            self._claims[number] = page.cursor
            if page.has_gaps:
                self.recover([number])
            if page.cursor == START:
                del self._claims[number]
        return found

    def _fold_large(self) -> None:
        began = self._monotonic()
        until = began + TURN_S
        while self._large and began < until:
            self._fold(self._large.take())
            ended = self._monotonic()
            self._large.took(ended - began)
            began = ended

    def _fold(self, entries: dict[int, list[PendingEntry]]) -> None:
        commits = [
            commit
            for number, pending in entries.items()
            for commit in commits_of(
                number,
                pending,
                lateness_s=self._lateness_s,
                on_unreadable=self._retry_or_dead_letter,
            )
        ]
        if not commits:
            return
        began = self._monotonic()
        results = self._backlog.commit(commits, self._now())
        self._counters.commit_seconds.observe(self._monotonic() - began)
        for commit, result in zip(commits, results, strict=True):
            self._settle(commit, result)

    def _settle(self, commit: Commit, result: bool | Exceptions | MetricsError) -> None:
        if isinstance(result, MetricsError):
            self._record_error(commit.partition, result)
        elif isinstance(result, Exceptions):
            self._log_exceptions(result)
            applied = commit.folded.messages - result.dead_messages
            self._counters.committed(len(commit.entries), applied)
            self._counters.died(result.dead_messages)
        elif result:
            self._counters.committed(len(commit.entries), commit.folded.messages)
        else:
            text = "partition %d: other workers have the entries"
            self._log.log(f"refused {commit.partition}", text, commit.partition)
            self._counters.refused()
            self.recover([commit.partition])

    def _without_deleted(self, number: int, pending: Sequence[PendingEntry]) -> list[PendingEntry]:
        """Return the entries, each once, without those that somebody deleted."""
        deleted = [entry for entry in pending if entry.fields is None]
        if deleted:
            kind, text = f"deleted {number}", "partition %d: %d entries were deleted"
            self._log.log(kind, text, number, len(deleted), level=logging.ERROR)
            try:
                self._backlog.ack_deleted(number, deleted)
            except MetricsError as error:
                self._record_error(number, error)
        return list({entry.id: entry for entry in pending if entry.fields is not None}.values())

    def _log_exceptions(self, exceptions: Exceptions) -> None:
        for text in exceptions.unsound:
            self._log.log(text, "%s; its messages go to the dead stream", text, level=logging.ERROR)
        for text in exceptions.full:
            self._log.log(
                text, "%s has reached 2^53 - 1, and stays there", text, level=logging.ERROR
            )

    def _retry_or_dead_letter(self, number: int, entry: PendingEntry, reason: str) -> None:
        """Leave an entry pending, to be claimed once more; or dead-letter it if this is enough."""
        try:
            if self._backlog.deliveries_of(number, entry) < DELIVERIES_MAX:
                kind, text = f"unreadable {number}", "partition %d: entry %s: %s"
                self._log.log(kind, text, number, entry.id.decode(), reason)
            elif self._backlog.dead_letter(number, entry, reason):
                kind, text = f"dead {number}", "partition %d: dead-lettered entry %s: %s"
                level = logging.ERROR
                self._log.log(kind, text, number, entry.id.decode(), reason, level=level)
                self._counters.dead_lettered()
        except MetricsError as error:
            self._record_error(number, error)

    def _record_error(self, number: int, error: MetricsError) -> None:
        """Record a partition's error; the next round tries it again."""
        self.recover([number])
        self._errors[number] = error
        if isinstance(error, GroupMissingError):
            text = "partition %d: the consumer group is missing; creating it"
            self._log.log(f"group {number}", text, number, level=logging.ERROR)
            self._without_group.add(number)

    def _delete_idle_consumers(self) -> None:
        if self._monotonic() >= self._idle_consumers_due:
            self._idle_consumers_due = self._monotonic() + CONSUMER_IDLE_S
            self._backlog.delete_idle_consumers(self._partitions, CONSUMER_IDLE_S * 1000)


def linger_s(busy_s: float) -> float:
    """Return how long to pause after a round of reading and committing that took so long."""
    return min(max(LINGER_SHARE * busy_s, LINGER_MIN_S), LINGER_MAX_S)
