"""What plain JSON bodies look like, and how they are decoded: as a whole, or long ones in pieces.

Between two pieces others may go on.
"""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

# Checked while it is decoded: to look at each value once more costs as much as to decode it.
Value = Annotated[float, Meta(ge=0)]


# Without gc, since a thousand of them would set off the garbage collector for nothing.
class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message without a timestamp."""

    key: str
    value: Value


class Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message, a column, a loss report or a client aggregate."""

    key: str
    value: Value | UnsetType = UNSET
    values: Raw | UnsetType = UNSET
    timestamps: list[int] | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    aggregate: Raw | UnsetType = UNSET
    timestamp: int | UnsetType = UNSET


WHOLE_BYTES_MAX = 131_072
"""How much text is decoded as a whole; what is longer is decoded in pieces."""

PIECE_BYTES = 65_536
"""How long a piece is; between them others may go on."""

_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


class NotPlainError(Exception):
    """A body that is left to ``api.collector.json_body``."""


decode_rows = msgspec.json.Decoder(list[Row]).decode
decode_row = msgspec.json.Decoder(Row).decode
decode_items = msgspec.json.Decoder(list[Item]).decode
decode_item = msgspec.json.Decoder(Item).decode
decode_values = msgspec.json.Decoder(list[Value]).decode
decode_aggregate = msgspec.json.Decoder(dict[str, Any]).decode


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises; the last, where arrays or objects are nested too deep."""


def pieces_of(body: bytes, pause_if_due: Callable[[], None]) -> Iterator[bytes]:
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


def values_of(raw: bytes, pause_if_due: Callable[[], None]) -> list[float]:
    """Return the values of a column.

    Args:
        raw: An array of numbers, as JSON.
        pause_if_due: Lets others go on; called between pieces.

    Raises:
        msgspec.DecodeError: If it is none.
        NotPlainError: If it is none.
    """
    if len(raw) <= WHOLE_BYTES_MAX:
        return decode_values(raw)
    if raw[:1] != b"[":
        raise NotPlainError
    pause_if_due()
    values: list[float] = []
    start, end = 1, len(raw) - 1
    while start < end:
        # Cut within anything but an array of numbers, a piece is no JSON.
        comma = raw.find(b",", start + PIECE_BYTES, end)
        stop = end if comma < 0 else comma
        values += decode_values(b"[%b]" % raw[start:stop])
        pause_if_due()
        start = stop + 1
    return values
