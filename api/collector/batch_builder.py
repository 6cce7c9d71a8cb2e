"""The messages of one request while they are read: good ones by key-hour, bad ones named.

A request may also hold loss reports: how many messages of a key-hour its sender dropped; and
client aggregates, each of which counts as the messages that it stands for.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import falcon

from api.collector.batch_contents import BatchContents
from api.collector.key_counts import NONE_REFUSED, Refusal
from api.collector.rejection import ERRORS_SHOWN_MAX, NEW_KEY, Rejection, kind_of
from api.collector.values import Values
from api.problems import Problem
from metrics.client_aggregate import AGGREGATE_COUNT_MAX, ClientAggregate
from metrics.entry import Column
from metrics.errors import InvalidMessageError
from metrics.hours import Hour
from metrics.message import DROPPED_MAX, AcceptedTimes, check_dropped, check_key, check_value

WORK_MAX = 100
"""After so many messages it is asked whether others should go on."""

_AGGREGATES_TOO_LARGE = (
    f"aggregates of one request must stand for at most {AGGREGATE_COUNT_MAX} messages"
)

KEY_HOURS_MAX = 20_000
"""Keys and hours in one request, and client aggregates: each is a column, and all are packed at
once."""


class BatchBuilder:
    """Collects the messages, loss reports and client aggregates of a request in their order.

    Args:
        arrival: When the request came, in Unix seconds: the time of messages without one.
        retention_days: How old a timestamp may be.
        may_write: Returns whether the sender may write a key.
        is_left_out: Returns whether the messages of a key are not to be taken now; none, if
            not given.
        refusal: Keys for which there is no room.
        pause_if_due: Lets other requests go on; called again and again while there is much to do.

    Attributes:
        accepted: How many messages were good so far, those of client aggregates included.
        reports: How many loss reports were good so far.
        dropped: How many messages were dropped, as those reports say.
        rejected: How many of both were bad so far; a client aggregate that is sound, but whose key
            or time is not, is as many as it stands for.
        forbidden: How many of those only because their sender may not write their key.
        reasons: How many of both were bad for which of the ``REASONS``.
        left_out: How many of both were good and are not to be taken now.
        ignored: How many lines are no messages, and no error.
        errors: What was wrong with the first of them.
        arrival_hour: The hour of those without a timestamp.
        pause_if_due: Lets other requests go on.
    """

    def __init__(
        self,
        *,
        arrival: float,
        retention_days: int,
        may_write: Callable[[str], bool],
        is_left_out: Callable[[str], bool] | None = None,
        refusal: Refusal = NONE_REFUSED,
        pause_if_due: Callable[[], None] = lambda: None,
    ) -> None:
        self.accepted = 0
        self.reports = 0
        self.dropped = 0
        self.rejected = 0
        self.forbidden = 0
        self.reasons: Counter[str] = Counter()
        self.left_out = 0
        self.ignored = 0
        self.errors: list[Rejection] = []
        self.arrival_hour = Hour.of(arrival)
        self._arrival = arrival
        self._retention_days = retention_days
        self._may_write = may_write
        self._is_left_out = is_left_out
        self._refusal = refusal
        self.pause_if_due = pause_if_due
        self._until_pause = WORK_MAX
        self._contents = BatchContents()
        self._in_aggregates = 0
        self._without_place = 0

    @property
    def times(self) -> AcceptedTimes:
        """The timestamps that are taken."""
        return AcceptedTimes.around(self._arrival, self._retention_days)

    @property
    def places(self) -> int:
        """How many messages, reports, client aggregates and ignored lines there were so far."""
        found = self.accepted + self.reports + self.rejected + self.left_out + self.ignored
        return found - self._without_place

    @staticmethod
    def bound_key_hours(key_hours: int) -> None:
        """See that a request has not too many keys and hours.

        Raises:
            Problem: If it has.
        """
        if key_hours > KEY_HOURS_MAX:
            raise Problem(
                falcon.HTTP_413,
                f"A request may have at most {KEY_HOURS_MAX} keys and hours, and as many "
                "aggregates; send smaller batches.",
            )

    def add(self, key: object, value: object, timestamp: object = None, weight: int = 1) -> None:
        """Add a message, or reject it.

        Args:
            key: What the sender gave as its key.
            value: And as its value.
            timestamp: And as its time; None if nothing.
            weight: How many messages it stands for.
        """
        self.work()
        try:
            name = check_key(key)
            number = check_value(value)
            hour = self._hour_of(timestamp)
        except InvalidMessageError as error:
            self.reject(error)
            return
        if self._is_refused(name) or self._leaves_out(name):
            return
        self._values_of(name, hour).add(number, weight)
        self.accepted += 1

    def add_report(self, key: object, dropped: object, timestamp: object = None) -> None:
        """Add a loss report, or reject it.

        Args:
            key: What the sender gave as its key.
            dropped: And as the number of messages of that key that it dropped.
            timestamp: And as their time; None if nothing.
        """
        self.work()
        try:
            name = check_key(key)
            number = check_dropped(dropped)
            hour = self._hour_of(timestamp)
        except InvalidMessageError as error:
            self.reject(error)
            return
        if self._is_refused(name):
            return
        dropped_before = self._contents.dropped.get((name, hour), 0)
        if dropped_before + number > DROPPED_MAX:
            self.reject(f"dropped must be at most {DROPPED_MAX} of a key and hour in one request")
            return
        self._contents.dropped[name, hour] = dropped_before + number
        self.bound_key_hours(len(self._contents.dropped))
        if not self._leaves_out(name):
            self.reports += 1
            self.dropped += number

    def add_aggregate(self, key: object, content: object, timestamp: object = None) -> None:
        """Add a client aggregate, or reject it; it counts as the messages that it stands for.

        One that is not sound stands for nothing that is known, and counts as one.

        Args:
            key: What the sender gave as its key.
            content: And as the aggregate.
            timestamp: And as the time of its messages; None if nothing.
        """
        self.work()
        try:
            aggregate = ClientAggregate.parse(content)
        except InvalidMessageError as error:
            self.reject(error)
            return
        count = aggregate.count
        self.work(len(aggregate.buckets))
        try:
            name = check_key(key)
            hour = self._hour_of(timestamp)
        except InvalidMessageError as error:
            self.reject(error, count, places=1)
            return
        if self._in_aggregates + count > AGGREGATE_COUNT_MAX:
            self.reject(_AGGREGATES_TOO_LARGE, count, places=1)
            return
        if self._is_refused(name, count) or self._leaves_out(name, count):
            return
        self._contents.aggregates.append((name, hour, aggregate))
        self.bound_key_hours(len(self._contents.aggregates))
        self._in_aggregates += count
        self.accepted += count
        self._without_place += count - 1

    def ignore(self) -> None:
        """Count a line that is no message, and no error."""
        self.work()
        self.ignored += 1

    def add_ready(self, columns: Sequence[tuple[str, Column]]) -> None:
        """Take all messages of the request at once, as columns that are checked, by key."""
        self._contents.ready = columns
        for _, column in columns:
            self.work()
            self.accepted += column.messages
            if column.is_aggregate:
                self._without_place += column.messages - 1

    def work(self, pieces: int = 1) -> None:
        """Count pieces of work, of some microseconds each; let others go on after many."""
        self._until_pause -= pieces
        if self._until_pause <= 0:
            self._until_pause = WORK_MAX
            self.pause_if_due()

    def takes(self, key: str) -> bool:
        """Return whether the messages of a key are taken."""
        return (
            self._may_write(key)
            and key not in self._refusal.keys
            and not (self._is_left_out and self._is_left_out(key))
        )

    def reject(
        self,
        reason: InvalidMessageError | str,
        messages: int = 1,
        *,
        kind: str = "",
        places: int | None = None,
    ) -> None:
        """Count messages as bad, all for the same reason; a text is made for the first ones.

        Args:
            reason: The rule that they break.
            messages: How many they are.
            kind: One of the ``REASONS``, if the rule does not begin with it.
            places: How many places they have in the request, if not one each.
        """
        self.work()
        self.reasons[kind or kind_of(reason)] += messages
        places = messages if places is None else places
        shown = min(places, ERRORS_SHOWN_MAX - len(self.errors))
        detail = str(reason) if shown > 0 else ""
        first = self.places
        self.errors += [Rejection(first + i, detail) for i in range(shown)]
        self.rejected += messages
        self._without_place += messages - places

    def columns(self, partitions: int) -> dict[int, list[Column]]:
        """Return the good messages and loss reports as columns, by partition."""
        return self._contents.by_partition(partitions, self.work, self.pause_if_due)

    def keys(self, is_wanted: Callable[[str], bool]) -> dict[str, Hour]:
        """Return those of the keys of what was good, each with an hour of its messages."""
        return self._contents.keys(is_wanted, self.work)

    def _values_of(self, key: str, hour: Hour) -> Values:
        values = self._contents.values.get((key, hour))
        if values is None:
            values = self._contents.values[key, hour] = Values()
            self.bound_key_hours(len(self._contents.values))
        return values

    def _is_refused(self, key: str, messages: int = 1) -> bool:
        """Reject what is next if its key may not be written, or is too many; return whether so."""
        if not self._may_write(key):
            self.forbidden += messages
            error, kind = InvalidMessageError("this token may not write the key %s", key), "token"
        elif key in self._refusal.keys:
            error, kind = InvalidMessageError(f"the key %s {self._refusal.reason}", key), NEW_KEY
        else:
            return False
        self.reject(error, messages, kind=kind, places=1)
        return True

    def _leaves_out(self, key: str, messages: int = 1) -> bool:
        """Leave out what is next if its key is not taken now; return whether it was."""
        if self._is_left_out is None or not self._is_left_out(key):
            return False
        if len(self.errors) < ERRORS_SHOWN_MAX:
            self.errors.append(Rejection(self.places, "not stored; send it again", retryable=True))
        self.left_out += messages
        self._without_place += messages - 1
        return True

    def _hour_of(self, timestamp: object) -> Hour:
        return self.arrival_hour if timestamp is None else Hour.of(self.times.check(timestamp))
