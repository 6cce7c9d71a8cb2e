"""The messages of one request while they are read: good ones by key-hour, bad ones named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics.entry import Column, write_values
from metrics.errors import InvalidMessageError
from metrics.hours import Hour
from metrics.keyspace import key_hour, partition_of
from metrics.message import AcceptedTimes, check_key, check_value

ERRORS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message was not taken.

    Attributes:
        index: Its place in the request, from 0.
        detail: The rule it breaks, for its sender; or what keeps it from being stored now.
        retryable: Whether it is good, and may be sent again.
    """

    index: int
    detail: str
    retryable: bool = False


@dataclass(slots=True)
class _Values:
    values: list[float]
    weights: list[int] | None = None


class Draft:
    """Collects the messages of a request in their order.

    Attributes:
        accepted: How many were good so far.
        rejected: How many were bad so far.
        forbidden: How many of those only because their sender may not write their key.
        left_out: How many were good and are not to be taken now.
        errors: What was wrong with the first of them.
        times: The timestamps that are taken.
    """

    def __init__(
        self,
        *,
        arrival: float,
        times: AcceptedTimes,
        may_write: Callable[[str], bool],
        is_left_out: Callable[[str], bool] | None = None,
    ) -> None:
        """Begin.

        Args:
            arrival: When the request came, in Unix seconds: the time of messages without one.
            times: The timestamps that are taken.
            may_write: Tells whether the sender may write a key.
            is_left_out: Tells whether the messages of a key are not to be taken now; none, if
                not given.
        """
        self.accepted = 0
        self.rejected = 0
        self.forbidden = 0
        self.left_out = 0
        self.errors: list[Rejection] = []
        self.times = times
        self._arrival_hour = Hour.of(arrival)
        self._may_write = may_write
        self._is_left_out = is_left_out
        self._columns: dict[tuple[str, Hour], _Values] = {}

    def add(self, key: object, value: object, timestamp: object = None, weight: int = 1) -> None:
        """Add a message, or reject it.

        Args:
            key: What the sender gave as its key.
            value: And as its value.
            timestamp: And as its time; None if nothing.
            weight: How many messages it stands for.
        """
        try:
            name = check_key(key)
            number = check_value(value)
            hour = self._hour_of(timestamp)
        except InvalidMessageError as error:
            self.reject(str(error))
            return
        if not self._may_write(name):
            self.forbidden += 1
            self.reject(f"this token may not write the key {name}")
            return
        if self._is_left_out is not None and self._is_left_out(name):
            self._leave_out()
            return
        column = self._columns.setdefault((name, hour), _Values([]))
        if weight != 1 and column.weights is None:
            column.weights = [1] * len(column.values)
        column.values.append(number)
        if column.weights is not None:
            column.weights.append(weight)
        self.accepted += 1

    def add_checked(self, key: str, values: list[float]) -> None:
        """Add messages without timestamps that the caller has checked, all of one key."""
        column = self._columns.setdefault((key, self._arrival_hour), _Values([]))
        column.values += values
        if column.weights is not None:
            column.weights += [1] * len(values)
        self.accepted += len(values)

    def takes(self, key: str) -> bool:
        """Tell whether the messages of a key are taken."""
        return self._may_write(key) and not (self._is_left_out and self._is_left_out(key))

    def reject(self, detail: str, messages: int = 1) -> None:
        """Count messages as bad, all for the same reason."""
        for _ in range(min(messages, ERRORS_SHOWN_MAX - len(self.errors))):
            self.errors.append(Rejection(self._index, detail))
            self.rejected += 1
            messages -= 1
        self.rejected += messages

    def columns(self, partitions: int) -> dict[int, list[Column]]:
        """Return the good messages as columns, by partition."""
        found: dict[int, list[Column]] = {}
        for (key, hour), column in self._columns.items():
            text = write_values(column.values, column.weights)
            found.setdefault(partition_of(key, partitions), []).append(
                Column(key_hour(key, hour), text, len(column.values))
            )
        return found

    @property
    def _index(self) -> int:
        return self.accepted + self.rejected + self.left_out

    def _leave_out(self) -> None:
        if len(self.errors) < ERRORS_SHOWN_MAX:
            self.errors.append(Rejection(self._index, "not stored; send it again", retryable=True))
        self.left_out += 1

    def _hour_of(self, timestamp: object) -> Hour:
        return self._arrival_hour if timestamp is None else Hour.of(self.times.check(timestamp))


def shown_errors(errors: Sequence[Rejection]) -> list[dict[str, object]]:
    """Return rejections as they stand in an answer."""
    return [
        {"index": error.index, "detail": error.detail}
        | ({"retryable": True} if error.retryable else {})
        for error in errors
    ]
