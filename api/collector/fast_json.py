"""The fast path for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key-hour, and checked a column at a time. The text of
a column is passed on as it is, where an entry may have it so. Whatever is not plain, or not good,
is left to ``api.collector.json_body``, which looks at each message and can say what is wrong; so
this must never take what that would not.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from api.collector.batch_builder import KEY_HOURS_MAX, BatchBuilder
from api.collector.bounded import MESSAGES_MAX
from metrics.client_aggregate import AGGREGATE_COUNT_MAX, ClientAggregate
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
    aggregate: Raw | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET


WHOLE_BYTES_MAX = 131_072
"""How much text is decoded as a whole; what is longer is decoded in pieces."""

PIECE_BYTES = 65_536
"""How long a piece is; between them others may go on."""

TIMES_AT_ONCE = 5000
"""After so many values with timestamps others may go on."""

_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


class _NotPlainError(Exception):
    """A body that is left to ``api.collector.json_body``."""


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_values = msgspec.json.Decoder(list[_Value]).decode
_decode_aggregate = msgspec.json.Decoder(dict[str, Any]).decode


_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises; the last, where arrays or objects are nested too deep."""


def read(body: bytes, builder: BatchBuilder) -> bool:
    """Give what a JSON body holds to a batch builder, if it is plain and all of it is good.

    Returns:
        Whether it was done; otherwise the builder is as it was.
    """
    plain = _Plain(builder)
    try:
        for piece in _pieces(body, builder.pause_if_due):
            plain.read(piece)
        plain.end()
    except (*_NOT_JSON, InvalidMessageError, _NotPlainError):
        return False
    builder.add_ready(plain.columns)
    for report in plain.reports:
        builder.add_report(*report)
    return True


def _pieces(body: bytes, pause_if_due: Callable[[], None]) -> Iterator[bytes]:
    """Yield a long array as several; whatever else, as it is.

    Cut between two objects that are no items of it, or within a text, neither piece is JSON.
    """
    start = 0
    if len(body) > WHOLE_BYTES_MAX and body.lstrip()[:1] == b"[":
        while cut := _BETWEEN_OBJECTS.search(body, start + PIECE_BYTES):
            comma = cut.start(1)
            yield b"%b%b]" % (b"[" if start else b"", body[start:comma])
            pause_if_due()
            start = comma + 1
    yield b"[%b" % body[start:] if start else body


def read_singles(
    bodies: Sequence[bytes], hour: int, partitions: int
) -> Sequence[SingleMessage] | None:
    """Return the message of each body, if each is one message without a timestamp, and good.

    They are decoded as one array. Each has one ``{``, at its begin, and one ``}``, at its end, and
    there are as many rows as bodies: so each ``{`` begins a row, and each ``}`` ends one. A row
    that began in one body and ended in another would have braces within a text.

    Args:
        bodies: JSON that came without anything around it.
        hour: The number of the hour in which they came.
        partitions: How many there are.

    Returns:
        None if any body is something else.
    """
    for body in bodies:
        if body[:1] != b"{" or body[-1:] != b"}" or body.count(b"{") + body.count(b"}") != 2:
            return None
    try:
        rows = _decode_rows(b"[%b]" % b",".join(bodies))
        if len(rows) != len(bodies):
            return None
        return [
            SingleMessage(partition_of(row.key, partitions), _written(row.key, hour), row.value)
            for row in rows
        ]
    except (*_NOT_JSON, _NotPlainError):
        return None


class _Plain:
    """What was read of a plain body: the builder gets it once all of it is found good.

    Attributes:
        columns: Its messages and client aggregates, each column with its key.
        reports: Its loss reports, as ``BatchBuilder.add_report`` takes them.
    """

    __slots__ = ("_buckets", "_builder", "_by_key", "_in_aggregates", "columns", "reports")

    def __init__(self, builder: BatchBuilder) -> None:
        self._builder = builder
        self._by_key: dict[str, list[float]] = {}
        self._in_aggregates = 0
        self._buckets = 0
        self.columns: list[tuple[str, Column]] = []
        self.reports: list[tuple[str, int, int | None]] = []

    def read(self, body: bytes) -> None:
        """Read a body, or a piece of one.

        Raises:
            InvalidMessageError: If something in it is not good.
            msgspec.DecodeError: If it is not JSON, or not plain.
            _NotPlainError: If it is not plain, or not good.
        """
        is_array = body.lstrip()[:1] == b"["
        try:
            if is_array:
                self._take_rows(_decode_rows(body))
            elif len(body) > WHOLE_BYTES_MAX:  # no message is so long
                if body[:1] != b"{":
                    raise _NotPlainError
                self._take(_decode_item(body))
            else:
                row = _decode_row(body)
                self._take_values(row.key, [row.value], self._builder.arrival_hour)
        except msgspec.ValidationError:
            self._builder.pause_if_due()
            for item in _decode_items(body) if is_array else [_decode_item(body)]:
                self._take(item)

    def end(self) -> None:
        """Check what can be checked only once all is read.

        Raises:
            InvalidMessageError: If something is not good.
            _NotPlainError: If something is not good.
            Problem: If there are too many keys.
        """
        self._builder.bound_key_hours(len(self._by_key))
        hour = self._builder.arrival_hour
        for key, values in self._by_key.items():
            self._take_values(key, values, hour)
        if self.reports:
            self._check_reports()

    def _take_rows(self, rows: list[_Row]) -> None:
        by_key = self._by_key
        for row in rows:
            try:
                by_key[row.key].append(row.value)
            except KeyError:
                by_key[row.key] = [row.value]

    def _take(self, item: _Item) -> None:
        """Take a message without a timestamp, a column, a loss report, or a client aggregate."""
        self._builder.work()
        if isinstance(item.aggregate, Raw):
            self._take_aggregate(item, item.aggregate)
            return
        hour = self._builder.arrival_hour
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

    def _take_aggregate(self, item: _Item, raw: Raw) -> None:
        # A sound one is shorter by far; to decode a longer one would hold others up.
        if len(raw) > PIECE_BYTES:
            raise _NotPlainError
        if not (item.value is item.values is item.timestamps is item.dropped is UNSET):
            raise _NotPlainError
        aggregate = ClientAggregate.parse(_decode_aggregate(raw))
        self._in_aggregates += aggregate.count
        self._buckets += len(aggregate.buckets)
        if self._in_aggregates > AGGREGATE_COUNT_MAX or self._buckets > MESSAGES_MAX:
            raise _NotPlainError
        self._builder.work(len(aggregate.buckets))
        hour = self._builder.arrival_hour
        if item.timestamp is not UNSET:
            hour = Hour.of(self._builder.times.check(item.timestamp))
        column = Column.of_aggregate(self._named(item.key, hour), aggregate)
        self.columns.append((item.key, column))

    def _take_values(self, key: str, values: list[float], hour: Hour) -> None:
        column = Column(self._named(key, hour), write_values(values), len(values))
        self.columns.append((key, column))

    def _take_column(self, key: str, raw: bytes, hour: Hour) -> int:
        """Take a column; return how many values it has."""
        values = self._decode_values(raw)
        if not values:
            raise _NotPlainError
        text = raw[1:-1]
        written = text.decode("ascii") if is_column_text(text) else write_values(values)
        self.columns.append((key, Column(self._named(key, hour), written, len(values))))
        return len(values)

    def _decode_values(self, raw: bytes) -> list[float]:
        if len(raw) <= WHOLE_BYTES_MAX:
            return _decode_values(raw)
        if raw[:1] != b"[":
            raise _NotPlainError
        self._builder.pause_if_due()
        values: list[float] = []
        start, end = 1, len(raw) - 1
        while start < end:
            # Cut within anything but an array of numbers, a piece is no JSON.
            comma = raw.find(b",", start + PIECE_BYTES, end)
            stop = end if comma < 0 else comma
            values += _decode_values(b"[%b]" % raw[start:stop])
            self._builder.pause_if_due()
            start = stop + 1
        return values

    def _take_by_hour(self, key: str, raw: bytes, timestamps: Sequence[int]) -> None:
        times = self._builder.times
        if not timestamps:
            raise _NotPlainError
        first, last = (Hour.of(times.check(end(timestamps))) for end in (min, max))
        if first == last:
            if self._take_column(key, raw, first) != len(timestamps):
                raise _NotPlainError
            return
        found: dict[int, list[float]] = {}
        values = self._decode_values(raw)
        if len(values) != len(timestamps):
            raise _NotPlainError
        both = zip(values, timestamps, strict=True)
        while pairs := list(islice(both, TIMES_AT_ONCE)):
            for value, timestamp in pairs:
                found.setdefault(timestamp // SECONDS_PER_HOUR, []).append(value)
            self._builder.pause_if_due()
        for number, some in found.items():
            self._take_values(key, some, Hour(number))

    def _named(self, key: str, hour: Hour) -> str:
        """Return how a key-hour is written, if messages of the key are taken."""
        self._builder.work()
        # So many columns may still be of few keys and hours: the regular path joins them.
        if len(self.columns) >= KEY_HOURS_MAX or not self._builder.takes(key):
            raise _NotPlainError
        return _written(key, hour.number)

    def _check_reports(self) -> None:
        for key, dropped, timestamp in self.reports:
            self._named(key, self._builder.arrival_hour)
            check_dropped(dropped)
            if timestamp is not None:
                self._builder.times.check(timestamp)
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
