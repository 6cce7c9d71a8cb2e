"""The fast way for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key-hour, and checked a column at a time. Whatever is
not plain, or not good, is left to ``api.bodies``, which looks at each message and can say what is
wrong; so this must never take what that would not.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from api.draft import Draft
from metrics.errors import InvalidMessageError
from metrics.hours import SECONDS_PER_HOUR, Hour
from metrics.message import DROPPED_MAX, AcceptedTimes, check_dropped, is_key


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: float


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: float | UnsetType = UNSET
    values: list[float] | UnsetType = UNSET
    timestamps: list[int] | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET


class _NotPlainError(Exception):
    """A body that is left to ``api.bodies``."""


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode
_decode_item = msgspec.json.Decoder(_Item).decode


def read(body: bytes, draft: Draft) -> bool:
    """Put what a JSON body holds into a draft, if it is plain and all of it is good.

    Returns:
        Whether it was done; otherwise the draft is as it was.
    """
    plain = _Plain(draft)
    try:
        _read(body, plain)
        plain.check()
    except (msgspec.DecodeError, InvalidMessageError, _NotPlainError):
        return False
    plain.give()
    return True


def _read(body: bytes, plain: "_Plain") -> None:
    is_array = body.lstrip()[:1] == b"["
    try:
        plain.take_rows(_decode_rows(body) if is_array else [_decode_row(body)])
    except msgspec.ValidationError:
        for item in _decode_items(body) if is_array else [_decode_item(body)]:
            plain.take(item)


class _Plain:
    """What was read of a plain body: it goes into the draft once all of it is found good."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._columns: dict[tuple[str, Hour], list[float]] = {}
        self._reports: list[tuple[str, int, int | None]] = []

    def take_rows(self, rows: list[_Row]) -> None:
        """Take messages without timestamps."""
        by_key: dict[str, list[float]] = {}
        for row in rows:
            column = by_key.get(row.key)
            if column is None:
                by_key[row.key] = [row.value]
            else:
                column.append(row.value)
        hour = self._draft.arrival_hour
        self._columns = {(key, hour): values for key, values in by_key.items()}

    def take(self, item: _Item) -> None:
        """Take a message without a timestamp, a column, or a loss report.

        Raises:
            InvalidMessageError: If a timestamp is not accepted.
            _NotPlainError: If it is something else.
        """
        hour = self._draft.arrival_hour
        match item.value, item.values, item.timestamps, item.dropped, item.timestamp:
            case float(value), UnsetType(), UnsetType(), UnsetType(), UnsetType():
                self._add(item.key, {hour: [value]})
            case UnsetType(), list(values), UnsetType(), UnsetType(), UnsetType():
                self._add(item.key, {hour: values})
            case UnsetType(), list(values), list(timestamps), UnsetType(), UnsetType():
                self._add(item.key, _by_hour(values, timestamps, self._draft.times))
            case UnsetType(), UnsetType(), UnsetType(), int(dropped), UnsetType():
                self._reports.append((item.key, dropped, None))
            case UnsetType(), UnsetType(), UnsetType(), int(dropped), int(timestamp):
                self._reports.append((item.key, dropped, timestamp))
            case _:
                raise _NotPlainError

    def check(self) -> None:
        """See that all of it is good.

        Raises:
            InvalidMessageError: If something is not.
            _NotPlainError: The same.
        """
        for (key, _), values in self._columns.items():
            self._check_key(key)
            if not values or min(values) < 0:
                raise _NotPlainError
        for key, dropped, timestamp in self._reports:
            self._check_key(key)
            check_dropped(dropped)
            if timestamp is not None:
                self._draft.times.check(timestamp)
        if sum(dropped for _, dropped, _ in self._reports) > DROPPED_MAX:
            raise _NotPlainError

    def give(self) -> None:
        """Put all of it into the draft."""
        for (key, hour), values in self._columns.items():
            self._draft.add_checked(key, hour, values)
        for report in self._reports:
            self._draft.add_report(*report)

    def _add(self, key: str, by_hour: Mapping[Hour, list[float]]) -> None:
        for hour, values in by_hour.items():
            self._columns.setdefault((key, hour), []).extend(values)

    def _check_key(self, key: str) -> None:
        if not (is_key(key) and self._draft.takes(key)):
            raise _NotPlainError


def _by_hour(
    values: list[float], timestamps: Sequence[int], times: AcceptedTimes
) -> Mapping[Hour, list[float]]:
    if not timestamps or len(values) != len(timestamps):
        raise _NotPlainError
    first, last = (Hour.of(times.check(end(timestamps))) for end in (min, max))
    if first == last:
        return {first: values}
    found: dict[int, list[float]] = {}
    for value, timestamp in zip(values, timestamps, strict=True):
        found.setdefault(timestamp // SECONDS_PER_HOUR, []).append(value)
    return {Hour(number): some for number, some in found.items()}
