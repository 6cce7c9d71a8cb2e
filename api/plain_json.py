"""The fast way for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key-hour, and checked a column at a time. The text of
a column is passed on as it is, where an entry may have it so. Whatever is not plain, or not good,
is left to ``api.bodies``, which looks at each message and can say what is wrong; so this must never
take what that would not.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from api.draft import Draft
from metrics.entry import Column, is_column_text, write_values
from metrics.errors import InvalidMessageError
from metrics.hours import SECONDS_PER_HOUR, Hour
from metrics.keyspace import key_hour, partition_of
from metrics.message import DROPPED_MAX, check_dropped, is_key
from metrics.stream import SingleMessage

# Checked while it is decoded: to look at each value once more costs as much as to decode it.
_Value = Annotated[float, Meta(ge=0)]


# Without gc, since a thousand of them would set off the garbage collector for nothing.
class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: _Value


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: _Value | UnsetType = UNSET
    values: Raw | UnsetType = UNSET
    timestamps: list[int] | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET


ROWS_MAX = 20_000
"""After so many rows others may go on."""


class _NotPlainError(Exception):
    """A body that is left to ``api.bodies``."""


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_values = msgspec.json.Decoder(list[_Value]).decode


def read(body: bytes, draft: Draft) -> bool:
    """Put what a JSON body holds into a draft, if it is plain and all of it is good.

    Returns:
        Whether it was done; otherwise the draft is as it was.
    """
    plain = _Plain(draft)
    try:
        plain.read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidMessageError, _NotPlainError):
        return False
    draft.add_ready(plain.columns)
    for report in plain.reports:
        draft.add_report(*report)
    return True


def read_singles(
    bodies: Sequence[bytes], hour: int, partitions: int
) -> Sequence[SingleMessage] | None:
    """Return the message of each body, if each is one message without a timestamp, and good.

    They are decoded as one array. Each begins with ``{`` and ends with ``}``, all keys are keys,
    and there are as many rows as bodies: so no row begins in one body and ends in another. It
    would have a brace in its key or in the name of a field.

    Args:
        bodies: JSON that came without anything around it.
        hour: The number of the hour in which they came.
        partitions: How many there are.

    Returns:
        None if any body is something else.
    """
    if any(body[:1] != b"{" or body[-1:] != b"}" for body in bodies):
        return None
    try:
        rows = _decode_rows(b"[%b]" % b",".join(bodies))
        if len(rows) != len(bodies):
            return None
        return [
            SingleMessage(partition_of(row.key, partitions), _written(row.key, hour), row.value)
            for row in rows
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, _NotPlainError):
        return None


class _Plain:
    """What was read of a plain body: it goes into the draft once all of it is found good.

    Attributes:
        columns: Its messages, each column with its key.
        reports: Its loss reports, as ``Draft.add_report`` takes them.
    """

    __slots__ = ("_draft", "columns", "reports")

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.columns: list[tuple[str, Column]] = []
        self.reports: list[tuple[str, int, int | None]] = []

    def read(self, body: bytes) -> None:
        """Read a body.

        Raises:
            InvalidMessageError: If something in it is not good.
            msgspec.DecodeError: If it is not JSON, or not plain.
            _NotPlainError: If it is not plain, or not good.
        """
        is_array = body.lstrip()[:1] == b"["
        try:
            if is_array:
                self._take_rows(_decode_rows(body))
            else:
                row = _decode_row(body)
                self._take_values(row.key, [row.value], self._draft.arrival_hour)
        except msgspec.ValidationError:
            for item in _decode_items(body) if is_array else [_decode_item(body)]:
                self._take(item)
            if self.reports:
                self._check_reports()

    def _take_rows(self, rows: list[_Row]) -> None:
        by_key: dict[str, list[float]] = {}
        for start in range(0, len(rows), ROWS_MAX):
            for row in rows[start : start + ROWS_MAX]:
                try:
                    by_key[row.key].append(row.value)
                except KeyError:
                    by_key[row.key] = [row.value]
            if start:
                self._draft.breathe()
        hour = self._draft.arrival_hour
        for key, values in by_key.items():
            self._take_values(key, values, hour)

    def _take(self, item: _Item) -> None:
        """Take a message without a timestamp, a column, or a loss report."""
        self._draft.work()
        hour = self._draft.arrival_hour
        match item.value, item.values, item.timestamps, item.dropped, item.timestamp:
            case UnsetType(), Raw() as raw, UnsetType(), UnsetType(), UnsetType():
                self._take_column(item.key, bytes(raw), hour)
            case float(value), UnsetType(), UnsetType(), UnsetType(), UnsetType():
                self._take_values(item.key, [value], hour)
            case UnsetType(), Raw() as raw, list(timestamps), UnsetType(), UnsetType():
                self._take_by_hour(item.key, bytes(raw), timestamps)
            case UnsetType(), UnsetType(), UnsetType(), int(dropped), UnsetType():
                self.reports.append((item.key, dropped, None))
            case UnsetType(), UnsetType(), UnsetType(), int(dropped), int(timestamp):
                self.reports.append((item.key, dropped, timestamp))
            case _:
                raise _NotPlainError

    def _take_values(self, key: str, values: list[float], hour: Hour) -> None:
        column = Column(self._named(key, hour), write_values(values), len(values))
        self.columns.append((key, column))

    def _take_column(self, key: str, raw: bytes, hour: Hour) -> int:
        """Take a column; return how many values it has."""
        values = _decode_values(raw)
        if not values:
            raise _NotPlainError
        text = raw[1:-1]
        written = text.decode("ascii") if is_column_text(text) else write_values(values)
        self.columns.append((key, Column(self._named(key, hour), written, len(values))))
        return len(values)

    def _take_by_hour(self, key: str, raw: bytes, timestamps: Sequence[int]) -> None:
        times = self._draft.times
        if not timestamps:
            raise _NotPlainError
        first, last = (Hour.of(times.check(end(timestamps))) for end in (min, max))
        if first == last:
            if self._take_column(key, raw, first) != len(timestamps):
                raise _NotPlainError
            return
        found: dict[int, list[float]] = {}
        values = _decode_values(raw)
        if len(values) != len(timestamps):
            raise _NotPlainError
        for value, timestamp in zip(values, timestamps, strict=True):
            found.setdefault(timestamp // SECONDS_PER_HOUR, []).append(value)
        for number, some in found.items():
            self._take_values(key, some, Hour(number))

    def _named(self, key: str, hour: Hour) -> str:
        """Return how a key-hour is written, if messages of the key are taken."""
        self._draft.work()
        if not self._draft.takes(key):
            raise _NotPlainError
        return _written(key, hour.number)

    def _check_reports(self) -> None:
        for key, dropped, timestamp in self.reports:
            self._named(key, self._draft.arrival_hour)
            check_dropped(dropped)
            if timestamp is not None:
                self._draft.times.check(timestamp)
        if sum(dropped for _, dropped, _ in self.reports) > DROPPED_MAX:
            raise _NotPlainError


@lru_cache(maxsize=16_384)
def _written(key: str, hour: int) -> str:
    """Return how a key-hour is written; remembered, as apps send the same keys all the time.

    Raises:
        _NotPlainError: If the key is none.
    """
    if not is_key(key):
        raise _NotPlainError
    return key_hour(key, Hour(hour))
