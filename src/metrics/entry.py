"""Entries: how messages lie in a stream, as text that redis-cli shows.

Each field of an entry is a key-hour and its value the values of that key-hour, comma-separated;
a sampled one says how many messages it stands for::

    2026-11-23T14:checkout.web-1   123.4,98.1,250.0*10

A field may also say how many messages of a key-hour its sender dropped, which are no messages of
the entry::

    2026-11-23T14:checkout.web-1   dropped=17

Or it is a client aggregate, what a sender has folded itself: behind the four numbers the buckets,
each with its count::

    2026-11-23T14:checkout.web-1   count=3 sum=232.5 min=7.0 max=123.4 99=1 234=1 244=1
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Annotated, Self

import msgspec

from metrics.client_aggregate import ClientAggregate
from metrics.errors import EntryUnreadableError, InvalidMessageError, InvalidQueryError
from metrics.hours import Hour
from metrics.message import WEIGHT_MAX, is_key, shown

COLUMNS_MAX = 500
"""Key-hours in one entry: bounds the arguments of one command in a script."""

TEXT_LENGTH_MAX = 32_768
"""Length of the values of one entry: bounds what a worker reads at once."""

LARGE_COLUMNS = 100
"""An entry with more key-hours is large: workers commit others first."""

# Where each stride has a comma, the most that lies between two is less than an entry.
_STRIDE = TEXT_LENGTH_MAX // 2

_DROPPED = b"dropped="
_DROPPED_TEXT = re.compile(rb"dropped=([1-9][0-9]{0,14})")

_AGGREGATE = "count="
_COUNT = re.compile(rb"count=([1-9][0-9]{0,9}) ")

_HOUR_LENGTH = len("2026-11-23T14")
_LAST_S = float(Hour.on(date.max, 23).start)

_decode_values = msgspec.json.Decoder(list[Annotated[float, msgspec.Meta(ge=0)]]).decode
_decode_weights = msgspec.json.Decoder(list[int]).decode


class Column(msgspec.Struct, frozen=True, gc=False):
    """The values of one key-hour, as text; or an aggregate of it, or what was dropped of it.

    A struct, since it is made in a tenth of the time that a frozen dataclass takes.

    Attributes:
        key_hour: As ``keyspace.key_hour`` writes it.
        text: The values, comma-separated; or ``dropped=17``; or an aggregate, as above.
        messages: How many values there are, or how many messages the aggregate stands for.
        dropped: How many messages their sender dropped; 0 in a column of values.
    """

    key_hour: str
    text: str
    messages: int
    dropped: int = 0

    @classmethod
    def of_dropped(cls, key_hour: str, dropped: int) -> Self:
        """Return the column that says how many messages of a key-hour were dropped."""
        return cls(key_hour, f"dropped={dropped}", 0, dropped)

    @classmethod
    def of_aggregate(cls, key_hour: str, aggregate: ClientAggregate) -> Self:
        """Return the column that is a client aggregate of a key-hour."""
        return cls(key_hour, aggregate.text, aggregate.count)

    @property
    def is_aggregate(self) -> bool:
        """Whether it is a client aggregate."""
        return self.text.startswith(_AGGREGATE)


class Entry(msgspec.Struct, frozen=True):
    """What is appended at once to the stream of a partition.

    Attributes:
        columns: Of a key-hour one of values, one of what was dropped, and its client aggregates.
    """

    columns: tuple[Column, ...]

    @property
    def messages(self) -> int:
        """Number of messages in the entry."""
        return sum([column.messages for column in self.columns])


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry that this consumer has got and nobody has committed.

    Attributes:
        id: Its id in the stream.
        fields: Its fields and values in turn; None if somebody deleted it.
    """

    id: bytes
    fields: Sequence[bytes] | None

    @property
    def appended_s(self) -> float:
        """When it was appended, in Unix seconds by the clock of Redis; at most in the year 9999.

        An entry that somebody else appended may have any id.
        """
        return min(int(self.id.partition(b"-")[0]) / 1000, _LAST_S)

    @property
    def hours(self) -> set[bytes]:
        """The hours it is counted under in the backlog."""
        return {field[:_HOUR_LENGTH] for field in (self.fields or ())[::2]}


def is_column_text(text: bytes) -> bool:
    """Return whether values may stand in a column as somebody else has written them.

    Plain digits, points and commas only, as ``write_values`` has them, and no value so long that
    it could not be cut off from its neighbours.

    Args:
        text: The inside of a JSON array that decodes to values.
    """
    if text.translate(None, b"0123456789.,"):
        return False
    return len(text) <= _STRIDE or all(
        text.find(b",", start, start + _STRIDE) >= 0
        for start in range(0, len(text) - _STRIDE, _STRIDE)
    )


def write_values(values: Sequence[float], weights: Sequence[int] | None = None) -> str:
    """Return values as the text of a column; each counted ``weights`` times, or once."""
    text = msgspec.json.encode(values)[1:-1].decode()
    if weights is None:
        return text
    tokens = zip(text.split(","), weights, strict=True)
    return ",".join(value if weight == 1 else f"{value}*{weight}" for value, weight in tokens)


def pack(columns: Iterable[Column], columns_max: int = COLUMNS_MAX) -> list[Entry]:
    """Return entries that hold the columns, each entry small enough to be read with many others.

    Columns of the same key-hour are joined, and long ones cut; but aggregates stay as they are.

    Args:
        columns: What they hold.
        columns_max: How many columns each may have.
    """
    entries: list[Entry] = []
    packed: list[Column] = []
    length = 0
    for whole in _joined(columns):
        for column in (whole,) if len(whole.text) <= TEXT_LENGTH_MAX else _cut(whole):
            length += len(column.text)
            if packed and (len(packed) == columns_max or length > TEXT_LENGTH_MAX):
                entries.append(Entry(tuple(packed)))
                packed, length = [], len(column.text)
            packed.append(column)
    if packed:
        entries.append(Entry(tuple(packed)))
    return entries


def _joined(columns: Iterable[Column]) -> list[Column]:
    by_key_hour: dict[str, list[Column]] = {}
    dropped: dict[str, int] = {}
    aggregates = []
    for column in columns:
        key_hour = column.key_hour
        if column.dropped:
            dropped[key_hour] = dropped.get(key_hour, 0) + column.dropped
        elif column.is_aggregate:
            aggregates.append(column)
        elif key_hour in by_key_hour:
            by_key_hour[key_hour].append(column)
        else:
            by_key_hour[key_hour] = [column]
    joined = [parts[0] if len(parts) == 1 else _join(parts) for parts in by_key_hour.values()]
    reports = [Column.of_dropped(key_hour, number) for key_hour, number in dropped.items()]
    return [*joined, *aggregates, *reports]


def _join(parts: Sequence[Column]) -> Column:
    text = ",".join([part.text for part in parts])
    return Column(parts[0].key_hour, text, sum([part.messages for part in parts]))


def _cut(column: Column) -> Iterator[Column]:
    text = column.text
    messages = column.messages
    start = 0
    while len(text) - start > TEXT_LENGTH_MAX:
        comma = text.rindex(",", start, start + TEXT_LENGTH_MAX)
        count = text.count(",", start, comma) + 1
        messages -= count
        yield Column(column.key_hour, text[start:comma], count)
        start = comma + 1
    yield Column(column.key_hour, text[start:], messages)


@lru_cache(maxsize=65536)
def read_key_hour(field: bytes) -> tuple[str, Hour]:
    """Return the key and the hour that a field of an entry names.

    Raises:
        EntryUnreadableError: If it names none.
    """
    try:
        hour, _, key = field.decode("ascii").partition(":")
        if is_key(key):
            return key, Hour.parse(hour)
    except (UnicodeDecodeError, InvalidQueryError):
        pass
    raise EntryUnreadableError(f"a field is not hour:key: {shown(field)}")


def read_values(texts: Sequence[bytes]) -> tuple[list[float], list[int] | None]:
    """Return the values in the texts of columns, and their weights where any is sampled.

    Raises:
        EntryUnreadableError: If they are not values that a collector accepts.
    """
    joined = b",".join(texts)
    try:
        if b"*" in joined:
            values, weights = _read_weighted(joined)
        else:
            values, weights = _decode_values(b"[%b]" % joined), None
    except (msgspec.DecodeError, ValueError) as error:
        raise EntryUnreadableError(f"values are no numbers from 0 up: {error}") from error
    if not values:
        raise EntryUnreadableError("values are missing")
    return values, weights


def _read_weighted(joined: bytes) -> tuple[list[float], list[int]]:
    tokens = [token.partition(b"*") for token in joined.split(b",")]
    values = _decode_values(b"[%b]" % b",".join(value for value, _, _ in tokens))
    weights = _decode_weights(b"[%b]" % b",".join(weight or b"1" for _, _, weight in tokens))
    if not 1 <= min(weights) <= max(weights) <= WEIGHT_MAX:
        raise ValueError("a sampled value stands for no number of messages")
    return values, weights


def read_dropped(text: bytes) -> int:
    """Return how many messages the text of a column says were dropped, 0 if it holds values.

    Raises:
        EntryUnreadableError: If it says so in another way than collectors do.
    """
    if not text.startswith(_DROPPED):
        return 0
    found = _DROPPED_TEXT.fullmatch(text)
    if found is None:
        raise EntryUnreadableError(f"no number of dropped messages: {shown(text)}")
    return int(found[1])


def read_aggregate(text: bytes) -> ClientAggregate | None:
    """Return the client aggregate that the text of a column is; None if it is none.

    Raises:
        EntryUnreadableError: If it is meant as one, and is not sound.
    """
    if not text.startswith(_AGGREGATE.encode()):
        return None
    try:
        return ClientAggregate.of_text(text)
    except InvalidMessageError as error:
        raise EntryUnreadableError(f"a client aggregate is not sound: {error}") from error


def messages_in(fields: Sequence[bytes]) -> int:
    """Return the number of messages in an entry, which need not be readable.

    The scripts count those of a column in the same way.

    Args:
        fields: Its fields and texts in turn.
    """
    return sum(_messages_in(text) for text in fields[1::2])


def _messages_in(text: bytes) -> int:
    if text.startswith(_DROPPED):
        return 0
    count = _COUNT.match(text)
    return int(count[1]) if count else text.count(b",") + 1
