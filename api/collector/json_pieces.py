"""JSON that is too long to be decoded as a whole: others go on between its pieces.

A long array is cut into its items, and a long column into its values. Only a column may be long:
whatever else is has more in it than a message can hold.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from api.collector import json_constants

WHOLE_BYTES_MAX = 262_144
"""How long a JSON text may be to be decoded as a whole."""

WHOLE_BRACKETS_MAX = 32_768
"""How many arrays and objects may be in it: each costs as much as a hundred digits."""

PIECE_BYTES = 65_536
"""How long an item may be, unless it is a column."""

_VALUES_BYTES = 16_384
"""How much text of values is decoded at once."""

_REASON_LENGTH_MAX = 160
"""How much of the text of the decoder is shown: it has names of any length in it."""


class NotJsonError(ValueError):
    """A text that is no JSON, or has a long item that is no column."""


class _Column(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: Raw
    values: Raw
    timestamps: Raw | UnsetType = UNSET
    timestamp: Raw | UnsetType = UNSET


_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises; the last, where arrays or objects are nested too deep."""

T = TypeVar("T")

_decode_array = msgspec.json.Decoder(list[Raw]).decode
_decode_column = msgspec.json.Decoder(_Column).decode


def brackets_in(text: bytes) -> int:
    """Return how many arrays and objects begin in a JSON text, or somewhat more."""
    return text.count(b"[") + text.count(b"{")


def is_short(text: bytes) -> bool:
    """Return whether a JSON text may be decoded as a whole."""
    return len(text) <= WHOLE_BYTES_MAX and brackets_in(text) <= WHOLE_BRACKETS_MAX


def items(text: bytes, pause_if_due: Callable[[], None]) -> Iterator[tuple[object, int]]:
    """Yield the items of a long JSON array, or the one thing that the text holds.

    Args:
        text: UTF-8.
        pause_if_due: Lets others go on.

    Yields:
        Each item and its length in bytes.

    Raises:
        NotJsonError: If it is not JSON, or an item is long and no column.
    """
    is_array = text.lstrip()[:1] == b"["
    for raw in _raw_items(text, pause_if_due) if is_array else [Raw(text)]:
        if len(raw) <= PIECE_BYTES:
            yield _loads(bytes(raw)), len(raw)
        else:
            yield column(bytes(raw), pause_if_due), PIECE_BYTES


def column(text: bytes, pause_if_due: Callable[[], None]) -> dict[str, object]:
    """Return a column as an object of JSON.

    Raises:
        NotJsonError: If it is not JSON, or has anything else.
    """
    try:
        decoded = _decode(_decode_column, text, pause_if_due)
    except _NOT_JSON as error:
        reason = str(error)[:_REASON_LENGTH_MAX]
        raise NotJsonError(
            f"what is longer than {PIECE_BYTES} bytes must be a column, "
            f'{{"key":...,"values":[...]}}, without anything else: {reason}'
        ) from error
    pause_if_due()
    fields = {"key": decoded.key, "timestamp": decoded.timestamp}
    long = {"values": decoded.values, "timestamps": decoded.timestamps}
    return {
        **{name: _loads(_bounded(raw)) for name, raw in fields.items() if isinstance(raw, Raw)},
        **{
            name: _array(bytes(raw), pause_if_due)
            for name, raw in long.items()
            if isinstance(raw, Raw)
        },
    }


def _array(text: bytes, pause_if_due: Callable[[], None]) -> object:
    """Return an array that may be long, decoded; or something else that is short."""
    if text[:1] != b"[":
        return _loads(_bounded(text))
    found: list[object] = []
    for some in _pieces(_raw_items(text, pause_if_due)):
        pause_if_due()
        found += cast("list[object]", _loads(b"[%b]" % b",".join(some)))
    return found


def _pieces(raws: Iterable[Raw]) -> Iterator[list[bytes]]:
    """Yield values, so many at a time as are decoded at once."""
    some: list[bytes] = []
    length = 0
    for raw in raws:
        some.append(_bounded(raw))
        length += len(raw)
        if length > _VALUES_BYTES:
            yield some
            some, length = [], 0
    yield some


def _raw_items(text: bytes, pause_if_due: Callable[[], None]) -> list[Raw]:
    try:
        return _decode(_decode_array, text, pause_if_due)
    except _NOT_JSON as error:
        raise NotJsonError(str(error)) from error


def _decode(decode: Callable[[bytes], T], text: bytes, pause_if_due: Callable[[], None]) -> T:
    """Return what a decoder makes of a text, in which NaN and Infinity may be."""
    try:
        return decode(text)
    except msgspec.DecodeError:
        if not json_constants.may_be_in(text):
            raise
    return decode(json_constants.mask(text, pause_if_due))


def _bounded(text: bytes | Raw) -> bytes:
    if len(text) > PIECE_BYTES:
        raise NotJsonError(f"a value is longer than {PIECE_BYTES} bytes")
    return bytes(text)


def _loads(text: bytes) -> object:
    try:
        return json.loads(json_constants.unmask(text).decode())
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error
