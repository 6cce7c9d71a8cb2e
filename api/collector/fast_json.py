"""The fast path for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key-hour, and checked a column at a time. The text of
a column is passed on as it is, where an entry may have it so. Whatever is not plain, or not good,
is left to ``api.collector.json_body``, which looks at each message and can say what is wrong; so
this must never take what that would not.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import msgspec
from msgspec import UNSET, Raw, UnsetType

from api.collector.batch_builder import KEY_HOURS_MAX, BatchBuilder
from api.collector.bounded import MESSAGES_MAX
from api.collector.json_shapes import (
    NOT_JSON,
    PIECE_BYTES,
    WHOLE_BYTES_MAX,
    Item,
    NotPlainError,
    Row,
    decode_aggregate,
    decode_item,
    decode_items,
    decode_row,
    decode_rows,
    pieces_of,
    values_of,
)
from metrics.client_aggregate import AGGREGATE_COUNT_MAX, ClientAggregate
from metrics.entry import Column, is_column_text, write_values
from metrics.errors import InvalidMessageError
from metrics.hours import SECONDS_PER_HOUR, Hour
from metrics.keyspace import key_hour, partition_of
from metrics.message import DROPPED_MAX, check_dropped, is_key
from metrics.stream import SingleMessage

TIMES_AT_ONCE = 5000
"""After so many values with timestamps others may go on."""


def read(body: bytes, builder: BatchBuilder) -> bool:
    """Give what a JSON body holds to a batch builder, if it is plain and all of it is good.

    Returns:
        Whether it was done; otherwise the builder is as it was.
    """
    plain = _Plain(builder)
    try:
        for piece in pieces_of(body, builder.pause_if_due):
            plain.read(piece)
        plain.end()
    except (*NOT_JSON, InvalidMessageError, NotPlainError):
        return False
    builder.add_ready(plain.columns)
    for report in plain.reports:
        builder.add_report(*report)
    return True


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
        rows = decode_rows(b"[%b]" % b",".join(bodies))
        if len(rows) != len(bodies):
            return None
        return [
            SingleMessage(partition_of(row.key, partitions), _written(row.key, hour), row.value)
            for row in rows
        ]
    except (*NOT_JSON, NotPlainError):
        return None


def singles_among(
    bodies: Sequence[bytes], hour: int, partitions: int
) -> list[SingleMessage | None]:
    """Return the message of each body that is one, as ``read_singles`` does; None for the others.

    Those that are something else are found by halves: a few among many cost these little.

    Args:
        bodies: As there.
        hour: As there.
        partitions: As there.
    """
    found = read_singles(bodies, hour, partitions)
    if found is not None:
        return list(found)
    if len(bodies) == 1:
        return [None]
    half = len(bodies) // 2
    return [
        message
        for some in (bodies[:half], bodies[half:])
        for message in singles_among(some, hour, partitions)
    ]


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
            NotPlainError: If it is not plain, or not good.
        """
        is_array = body.lstrip()[:1] == b"["
        try:
            if is_array:
                self._take_rows(decode_rows(body))
            elif len(body) > WHOLE_BYTES_MAX:  # no message is so long
                if body[:1] != b"{":
                    raise NotPlainError
                self._take(decode_item(body))
            else:
                row = decode_row(body)
                self._take_values(row.key, [row.value], self._builder.arrival_hour)
        except msgspec.ValidationError:
            self._builder.pause_if_due()
            for item in decode_items(body) if is_array else [decode_item(body)]:
                self._take(item)

    def end(self) -> None:
        """Check what can be checked only once all is read.

        Raises:
            InvalidMessageError: If something is not good.
            NotPlainError: If something is not good.
            Problem: If there are too many keys.
        """
        self._builder.bound_key_hours(len(self._by_key))
        hour = self._builder.arrival_hour
        for key, values in self._by_key.items():
            self._take_values(key, values, hour)
        if self.reports:
            self._check_reports()

    def _take_rows(self, rows: list[Row]) -> None:
        by_key = self._by_key
        for row in rows:
            try:
                by_key[row.key].append(row.value)
            except KeyError:
                by_key[row.key] = [row.value]

    def _take(self, item: Item) -> None:
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
                raise NotPlainError

    def _take_aggregate(self, item: Item, raw: Raw) -> None:
        # A sound one is shorter by far; to decode a longer one would hold others up.
        if len(raw) > PIECE_BYTES:
            raise NotPlainError
        if not (item.value is item.values is item.timestamps is item.dropped is UNSET):
            raise NotPlainError
        aggregate = ClientAggregate.parse(decode_aggregate(raw))
        self._in_aggregates += aggregate.count
        self._buckets += len(aggregate.buckets)
        if self._in_aggregates > AGGREGATE_COUNT_MAX or self._buckets > MESSAGES_MAX:
            raise NotPlainError
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
        values = values_of(raw, self._builder.pause_if_due)
        if not values:
            raise NotPlainError
        text = raw[1:-1]
        written = text.decode("ascii") if is_column_text(text) else write_values(values)
        self.columns.append((key, Column(self._named(key, hour), written, len(values))))
        return len(values)

    def _take_by_hour(self, key: str, raw: bytes, timestamps: Sequence[int]) -> None:
        times = self._builder.times
        if not timestamps:
            raise NotPlainError
        first, last = (Hour.of(times.check(end(timestamps))) for end in (min, max))
        if first == last:
            if self._take_column(key, raw, first) != len(timestamps):
                raise NotPlainError
            return
        found: dict[int, list[float]] = {}
        values = values_of(raw, self._builder.pause_if_due)
        if len(values) != len(timestamps):
            raise NotPlainError
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
            raise NotPlainError
        return _written(key, hour.number)

    def _check_reports(self) -> None:
        for key, dropped, timestamp in self.reports:
            self._named(key, self._builder.arrival_hour)
            check_dropped(dropped)
            if timestamp is not None:
                self._builder.times.check(timestamp)
        if sum(dropped for _, dropped, _ in self.reports) > DROPPED_MAX:
            raise NotPlainError


@lru_cache(maxsize=16_384)
def _written(key: str, hour: int) -> str:
    """Return how a key-hour is written; remembered, as apps send the same keys all the time.

    Raises:
        NotPlainError: If the key is none.
    """
    if not is_key(key):
        raise NotPlainError
    return key_hour(key, Hour(hour))
