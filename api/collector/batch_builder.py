"""The messages of one request while they are read: good ones by key-hour, bad ones named.

A request may also hold loss reports: how many messages of a key-hour its sender dropped.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import falcon

from api.problems import Problem
from metrics.entry import Column, write_values
from metrics.errors import InvalidMessageError
from metrics.hours import Hour
from metrics.keyspace import key_hour, partition_of
from metrics.message import (
    DROPPED_MAX,
    AcceptedTimes,
    check_dropped,
    check_key,
    check_value,
)

ERRORS_SHOWN_MAX = 20

REASONS = ("key", "value", "timestamp", "dropped", "token", "form")
"""What may be wrong with a message that is rejected: a field of it, its sender's token, or else its
form."""

WORK_MAX = 100
"""After so many messages it is asked whether others should go on."""

_VALUES_AT_ONCE = 10_000
"""How many values are written before others may go on."""

KEY_HOURS_MAX = 20_000
"""Keys and hours in one request: each is a column, and all are packed at once."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message, or a loss report, was not taken.

    Attributes:
        index: Its place in the request, from 0: each message, loss report or ignored line has one.
        detail: The rule it breaks, for its sender; or what keeps it from being stored now.
        retryable: Whether it is good, and may be sent again.
    """

    index: int
    detail: str
    retryable: bool = False


@dataclass(slots=True)
class _Values:
    values: list[float] = field(default_factory=list)
    weights: list[int] | None = None


class BatchBuilder:
    """Collects the messages and loss reports of a request in their order.

    Args:
        arrival: When the request came, in Unix seconds: the time of messages without one.
        retention_days: How old a timestamp may be.
        may_write: Returns whether the sender may write a key.
        is_left_out: Returns whether the messages of a key are not to be taken now; none, if
            not given.
        pause_if_due: Lets other requests go on; called again and again while there is much to do.

    Attributes:
        accepted: How many messages were good so far.
        reports: How many loss reports were good so far.
        dropped: How many messages were dropped, as those reports say.
        rejected: How many of both were bad so far.
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
        self.pause_if_due = pause_if_due
        self._until_pause = WORK_MAX
        self._columns: dict[tuple[str, Hour], _Values] = {}
        self._dropped: dict[tuple[str, Hour], int] = {}
        self._ready: Sequence[tuple[str, Column]] = ()

    @property
    def times(self) -> AcceptedTimes:
        """The timestamps that are taken."""
        return AcceptedTimes.around(self._arrival, self._retention_days)

    @staticmethod
    def bound_key_hours(key_hours: int) -> None:
        """See that a request has not too many keys and hours.

        Raises:
            Problem: If it has.
        """
        if key_hours > KEY_HOURS_MAX:
            raise Problem(
                falcon.HTTP_413,
                f"A request may have at most {KEY_HOURS_MAX} keys and hours; send smaller batches.",
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
        if self._is_forbidden(name) or self._leaves_out(name):
            return
        column = self._values_of(name, hour)
        if weight != 1 and column.weights is None:
            column.weights = [1] * len(column.values)
        column.values.append(number)
        if column.weights is not None:
            column.weights.append(weight)
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
        if self._is_forbidden(name):
            return
        dropped_before = self._dropped.get((name, hour), 0)
        if dropped_before + number > DROPPED_MAX:
            self.reject(f"dropped must be at most {DROPPED_MAX} of a key and hour in one request")
            return
        self._dropped[name, hour] = dropped_before + number
        self.bound_key_hours(len(self._dropped))
        if not self._leaves_out(name):
            self.reports += 1
            self.dropped += number

    def ignore(self) -> None:
        """Count a line that is no message, and no error."""
        self.work()
        self.ignored += 1

    def add_ready(self, columns: Sequence[tuple[str, Column]]) -> None:
        """Take all messages of the request at once, checked and written as columns.

        Args:
            columns: Each with its key.
        """
        self._ready = columns
        self.accepted = sum([column.messages for _, column in columns])

    def work(self, pieces: int = 1) -> None:
        """Count pieces of work, of some microseconds each; let others go on after many."""
        self._until_pause -= pieces
        if self._until_pause <= 0:
            self._until_pause = WORK_MAX
            self.pause_if_due()

    def takes(self, key: str) -> bool:
        """Return whether the messages of a key are taken."""
        return self._may_write(key) and not (self._is_left_out and self._is_left_out(key))

    def reject(
        self, reason: InvalidMessageError | str, messages: int = 1, *, kind: str = ""
    ) -> None:
        """Count messages as bad, all for the same reason; a text is made for the first ones.

        Args:
            reason: The rule that they break.
            messages: How many they are.
            kind: One of the ``REASONS``, if the rule does not begin with it.
        """
        self.work()
        self.reasons[kind or _kind_of(reason)] += messages
        shown = min(messages, ERRORS_SHOWN_MAX - len(self.errors))
        detail = str(reason) if shown > 0 else ""
        for _ in range(shown):
            self.errors.append(Rejection(self._index, detail))
            self.rejected += 1
            messages -= 1
        self.rejected += messages

    def columns(self, partitions: int) -> dict[int, list[Column]]:
        """Return the good messages and loss reports as columns, by partition."""
        found: dict[int, list[Column]] = {}
        for key, ready in self._ready:
            self.work()
            found.setdefault(partition_of(key, partitions), []).append(ready)
        for (key, hour), column in self._columns.items():
            self.work()
            text = self._written(column)
            found.setdefault(partition_of(key, partitions), []).append(
                Column(key_hour(key, hour), text, len(column.values))
            )
        for (key, hour), dropped in self._dropped.items():
            self.work()
            found.setdefault(partition_of(key, partitions), []).append(
                Column.of_dropped(key_hour(key, hour), dropped)
            )
        return found

    def _written(self, column: _Values) -> str:
        values, weights = column.values, column.weights
        if len(values) <= _VALUES_AT_ONCE:
            return write_values(values, weights)
        texts = []
        for start in range(0, len(values), _VALUES_AT_ONCE):
            some = slice(start, start + _VALUES_AT_ONCE)
            texts.append(write_values(values[some], weights and weights[some]))
            self.pause_if_due()
        return ",".join(texts)

    def _values_of(self, key: str, hour: Hour) -> _Values:
        column = self._columns.get((key, hour))
        if column is None:
            column = self._columns[key, hour] = _Values()
            self.bound_key_hours(len(self._columns))
        return column

    @property
    def _index(self) -> int:
        return self.accepted + self.reports + self.rejected + self.left_out + self.ignored

    def _is_forbidden(self, key: str) -> bool:
        """Reject the next message if its sender may not write its key; return whether it was."""
        if self._may_write(key):
            return False
        self.forbidden += 1
        self.reject(InvalidMessageError("this token may not write the key %s", key), kind="token")
        return True

    def _leaves_out(self, key: str) -> bool:
        """Leave out the next message if its key is not taken now; return whether it was."""
        if self._is_left_out is None or not self._is_left_out(key):
            return False
        if len(self.errors) < ERRORS_SHOWN_MAX:
            self.errors.append(Rejection(self._index, "not stored; send it again", retryable=True))
        self.left_out += 1
        return True

    def _hour_of(self, timestamp: object) -> Hour:
        return self.arrival_hour if timestamp is None else Hour.of(self.times.check(timestamp))


def _kind_of(reason: InvalidMessageError | str) -> str:
    """Return which of the ``REASONS`` it is: a rule of a field begins with its name."""
    rule = str(reason.args[0]) if isinstance(reason, InvalidMessageError) else reason
    field = rule.partition(" ")[0].removesuffix("s")
    return field if field in REASONS else "form"


def shown_errors(errors: Sequence[Rejection]) -> list[dict[str, object]]:
    """Return rejections as they stand in an answer."""
    return [
        {"index": error.index, "detail": error.detail}
        | ({"retryable": True} if error.retryable else {})
        for error in errors
    ]
