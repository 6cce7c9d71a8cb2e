"""The fast way for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key-hour, and checked a column at a time. The text of
a column is passed on as it is, where an entry may have it so. Whatever is not plain, or not good,
is left to ``api.bodies``, which looks at each message and can say what is wrong; so this must never
take what that would not.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from api.draft import Draft
from metrics.entry import is_column_text
from metrics.errors import InvalidMessageError
from metrics.hours import SECONDS_PER_HOUR, Hour
from metrics.message import DROPPED_MAX, AcceptedTimes, check_dropped, is_key

# Checked while it is decoded: to look at each value once more costs as much as to decode it.
_Value = Annotated[float, Meta(ge=0)]


# Without gc, since a thousand of them would set off the garbage collector for nothing.
class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: _Value


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: _Value | UnsetType = UNSET
    values: Raw | UnsetType = UNSET
    timestamps: list[int] | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET


class _NotPlainError(Exception):
    """A body that is left to ``api.bodies``."""


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_values = msgspec.json.Decoder(list[_Value]).decode


class _Column(msgspec.Struct, frozen=True, gc=False):
    """Values of one key-hour; ``text`` are the same, if they may stand so in an entry."""

    key: str
    hour: Hour
    values: list[float]
    text: str = ""


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
        self._columns: list[_Column] = []
        self._reports: list[tuple[str, int, int | None]] = []

    def take_rows(self, rows: list[_Row]) -> None:
        """Take messages without timestamps."""
        by_key: dict[str, list[float]] = {}
        for row in rows:
            try:
                by_key[row.key].append(row.value)
            except KeyError:
                by_key[row.key] = [row.value]
        hour = self._draft.arrival_hour
        self._columns = [_Column(key, hour, values) for key, values in by_key.items()]

    def take(self, item: _Item) -> None:
        """Take a message without a timestamp, a column, or a loss report.

        Raises:
            InvalidMessageError: If a timestamp is not accepted.
            msgspec.DecodeError: If a column is not one of values.
            _NotPlainError: If it is something else.
        """
        hour = self._draft.arrival_hour
        match item.value, item.values, item.timestamps, item.dropped, item.timestamp:
            case float(value), UnsetType(), UnsetType(), UnsetType(), UnsetType():
                self._columns.append(_Column(item.key, hour, [value]))
            case UnsetType(), Raw() as raw, UnsetType(), UnsetType(), UnsetType():
                self._columns.append(_column(item.key, hour, bytes(raw)))
            case UnsetType(), Raw() as raw, list(timestamps), UnsetType(), UnsetType():
                self._columns += _by_hour(item.key, bytes(raw), timestamps, self._draft.times)
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
        for column in self._columns:
            self._check_key(column.key)
            if not column.values:
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
        for column in self._columns:
            self._draft.add_checked(column.key, column.hour, column.values, column.text)
        for report in self._reports:
            self._draft.add_report(*report)

    def _check_key(self, key: str) -> None:
        if not (is_key(key) and self._draft.takes(key)):
            raise _NotPlainError


def _column(key: str, hour: Hour, raw: bytes) -> _Column:
    text = raw[1:-1]
    return _Column(
        key, hour, _decode_values(raw), text.decode("ascii") if is_column_text(text) else ""
    )


def _by_hour(
    key: str, raw: bytes, timestamps: Sequence[int], times: AcceptedTimes
) -> Sequence[_Column]:
    if not timestamps:
        raise _NotPlainError
    first, last = (Hour.of(times.check(end(timestamps))) for end in (min, max))
    column = _column(key, first, raw)
    if len(column.values) != len(timestamps):
        raise _NotPlainError
    if first == last:
        return [column]
    found: dict[int, list[float]] = {}
    for value, timestamp in zip(column.values, timestamps, strict=True):
        found.setdefault(timestamp // SECONDS_PER_HOUR, []).append(value)
    return [_Column(key, Hour(number), some) for number, some in found.items()]
