"""Request bodies, whatever their type: their messages go into a batch builder, one by one.

JSON may also hold loss reports, ``{"key":...,"dropped":17}``: how many messages a sender dropped.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import repeat
from typing import AnyStr
from urllib.parse import parse_qsl

import falcon

from api.collector import fast_json, json_pieces
from api.collector.batch_builder import BatchBuilder
from api.problems import Problem
from metrics.errors import InvalidMessageError
from metrics.message import check_key, parse_value, parse_weight, shown

MESSAGES_MAX = 150_000
"""Messages and loss reports in one request: the largest batch of our client and half as many more.
To look at each takes a second or so, in slices between which others go on."""

LINE_LENGTH_MAX = 1024
"""How long a line of text may be, or a form: neither has more than a key and some numbers."""

BYTES_PER_WORK = 256
"""How much text costs as much as a message."""

_COMMAS_MAX = 3 * MESSAGES_MAX
"""In JSON: an object with a key, a value and a timestamp has two, and one stands behind it."""

_BRACKETS_MAX = 3 * MESSAGES_MAX
"""In JSON: an object may have two arrays."""

# A StatsD timing, key:value|ms with a sample rate or not; a key may hold colons itself.
# Source: StatsD, docs/metric_types.md.
_TIMING = re.compile(r"(?P<key>.*):(?P<value>[^:|]*)\|(?P<type>[^|]*)(?:\|@(?P<rate>[^|]*))?")


class _UnknownFieldError(InvalidMessageError):
    """A field that no message has."""

    def __str__(self) -> str:
        """Return which it is, and which there are."""
        return (
            f"unknown field {shown(self.args[0])}; "
            "known are key, value, timestamp, values, timestamps, dropped"
        )


_Reader = Callable[[bytes, BatchBuilder], None]
_FIELDS = {"key", "value", "timestamp", "values", "timestamps", "dropped"}
_REPORT_FIELDS = {"key", "dropped", "timestamp"}
_FORM_FIELDS = {"key", "value", "timestamp"}


def read_body(content_type: str | None, body: bytes, builder: BatchBuilder) -> None:
    """Give the messages of a body to a batch builder.

    Args:
        content_type: As the request names it; None if it does not.
        body: The body, decompressed.
        builder: Takes the good messages, and names the bad.

    Raises:
        Problem: If the body cannot be read as its type.
        Problem: If it has too many messages.
        Problem: If its type is unknown.
    """
    _reader_of(content_type)(body, builder)


def _read_json(body: bytes, builder: BatchBuilder) -> None:
    _bound_size(body)
    body = body.strip()
    builder.pause_if_due()
    if fast_json.read(body, builder):
        _bound(builder.accepted + builder.reports)
        return
    builder.pause_if_due()
    messages = 0
    for item, length in _items(body, builder):
        builder.work(length // BYTES_PER_WORK)
        messages += _messages_in(item)
        _bound(messages)
        _add_item(item, builder)


def _read_ndjson(body: bytes, builder: BatchBuilder) -> None:
    _bound_size(body)
    messages = 0
    for line in _lines(body, b"\n", builder):
        try:
            item = _loads_line(line, builder)
        except Problem as error:
            builder.reject(str(error.description))
        else:
            messages += _messages_in(item)
            _bound(messages)
            _add_item(item, builder)


def _read_text(body: bytes, builder: BatchBuilder) -> None:
    for line in _lines(_decode(body), "\n", builder):
        try:
            key, value, weight = _parse_line(line)
        except InvalidMessageError as error:
            builder.reject(error)
        else:
            builder.add(key, value, weight=weight)


def _read_form(body: bytes, builder: BatchBuilder) -> None:
    if body.lstrip()[:1] in (b"{", b"["):
        _read_json(body, builder)
    elif b"=" not in body:
        _read_text(body, builder)
    else:
        _add_form(_decode(body).strip(), builder)


_READERS: dict[str, _Reader] = {
    "application/json": _read_json,
    "application/x-ndjson": _read_ndjson,
    "text/plain": _read_text,
    "application/x-www-form-urlencoded": _read_form,
}


@lru_cache(maxsize=64)
def _reader_of(content_type: str | None) -> _Reader:
    """Return what reads bodies of a type; remembered, since all senders name one of a few."""
    media_type, _, parameters = (content_type or "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters)
    if charset and charset[1] not in {"utf-8", "utf8", "us-ascii"}:
        raise Problem(falcon.HTTP_415, "The charset must be utf-8.")
    # curl names the form type by itself, and some clients name none.
    read = _READERS.get(media_type.strip() or "application/x-www-form-urlencoded")
    if read is None:
        raise Problem(
            falcon.HTTP_415,
            f"Content-Type must be one of {', '.join(_READERS)}, got {shown(media_type.strip())}.",
        )
    return read


def _add_form(text: str, builder: BatchBuilder) -> None:
    if len(text) > LINE_LENGTH_MAX:
        raise Problem(falcon.HTTP_400, f"A form may have at most {LINE_LENGTH_MAX} characters.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=len(_FORM_FIELDS))
    except ValueError:  # it has more fields
        pairs = []
    fields = dict(pairs)
    if len(pairs) > len(fields) or not {"key", "value"} <= fields.keys() <= _FORM_FIELDS:
        raise Problem(
            falcon.HTTP_400, "A form has one key and one value: key=checkout.web-1&value=123.4"
        )
    timestamp: object = fields.get("timestamp")
    try:
        value = parse_value(fields["value"])
        if isinstance(timestamp, str) and re.fullmatch(r"\d+(\.\d+)?", timestamp, re.ASCII):
            timestamp = float(timestamp)
    except InvalidMessageError as error:
        builder.reject(error)
    else:
        builder.add(fields["key"], value, timestamp)


def _parse_line(line: str) -> tuple[str, float, int]:
    if len(line) > LINE_LENGTH_MAX:
        raise InvalidMessageError(
            "a line may have at most %d characters", LINE_LENGTH_MAX, got=line
        )
    timing = _TIMING.fullmatch(line)
    if timing is None:
        key, comma, value = line.rpartition(",")
        if not comma:
            raise InvalidMessageError("a line must be key,value or key:value|ms", got=line)
        return key.strip(), parse_value(value.strip()), 1
    if timing["type"] != "ms":
        raise InvalidMessageError("of StatsD only timings are taken, key:value|ms", got=line)
    weight = 1 if timing["rate"] is None else parse_weight(timing["rate"])
    return timing["key"], parse_value(timing["value"]), weight


def _add_item(item: object, builder: BatchBuilder) -> None:
    """Add what one JSON object or pair holds: a message, a column of them, or a loss report."""
    if isinstance(item, list) and len(item) == 2:
        builder.add(item[0], item[1])
    elif not isinstance(item, dict):
        builder.reject(
            InvalidMessageError(
                'a message must be {"key":...,"value":...} or a pair ["key",value]', got=item
            )
        )
    elif unknown := next((name for name in item if name not in _FIELDS), None):
        builder.reject(_UnknownFieldError(unknown), _messages_in(item))
    elif "dropped" in item:
        _add_report(item, builder)
    elif "values" in item:
        _add_column(item, builder)
    else:
        _add_message(item, builder)


def _add_message(item: dict[str, object], builder: BatchBuilder) -> None:
    if "timestamps" in item:
        builder.reject("timestamps stand beside values; beside value it is timestamp")
    elif "key" not in item or "value" not in item:
        builder.reject(f"a message must have {'value' if 'key' in item else 'key'}")
    elif "timestamp" in item and item["timestamp"] is None:
        builder.reject("timestamp must not be null; leave it out")
    else:
        builder.add(item["key"], item["value"], item.get("timestamp"))


def _add_report(item: dict[str, object], builder: BatchBuilder) -> None:
    if item.keys() - _REPORT_FIELDS:
        builder.reject("dropped stands beside key and timestamp only")
    elif "key" not in item:
        builder.reject("a loss report must have key")
    elif "timestamp" in item and item["timestamp"] is None:
        builder.reject("timestamp must not be null; leave it out")
    else:
        builder.add_report(item["key"], item["dropped"], item.get("timestamp"))


def _add_column(item: dict[str, object], builder: BatchBuilder) -> None:
    values = item["values"]
    if not isinstance(values, list):
        builder.reject(InvalidMessageError("values must be an array of numbers", got=values))
        return
    timestamps = item.get("timestamps")
    if "value" in item or ("timestamp" in item and "timestamps" in item):
        builder.reject("values stand beside key and timestamps only", len(values))
        return
    if "timestamps" in item:
        if not isinstance(timestamps, list) or len(timestamps) != len(values):
            builder.reject("timestamps must be an array as long as values", max(len(values), 1))
            return
        if None in timestamps:
            builder.reject("timestamps must not be null", len(values))
            return
    try:
        # Once for all: what is wrong with either would have to be said again for each value.
        key, timestamp = check_key(item.get("key")), item.get("timestamp")
        time = None if timestamp is None else builder.times.check(timestamp)
    except InvalidMessageError as error:
        builder.reject(error, len(values))
        return
    times: Iterable[object] = timestamps if isinstance(timestamps, list) else repeat(time)
    for value, own in zip(values, times, strict=False):
        builder.add(key, value, own)


def _bound_size(body: bytes) -> None:
    """Refuse what has too many messages before it is decoded: that alone can take long."""
    if len(body) > _COMMAS_MAX:
        _bound(body.count(b","), _COMMAS_MAX)
        if json_pieces.brackets_in(body) > _BRACKETS_MAX:
            raise Problem(
                falcon.HTTP_400, f"A body may have at most {_BRACKETS_MAX} arrays and objects."
            )


def _bound(messages: int, messages_max: int = MESSAGES_MAX) -> None:
    if messages > messages_max:
        raise Problem(
            falcon.HTTP_413,
            f"A request may have at most {MESSAGES_MAX} messages; send smaller batches.",
        )


def _messages_in(item: object) -> int:
    values = item.get("values") if isinstance(item, dict) else None
    return len(values) if isinstance(values, list) and values else 1


def _is_pair(content: list[object]) -> bool:
    return len(content) == 2 and isinstance(content[0], str)


def _items(body: bytes, builder: BatchBuilder) -> Iterator[tuple[object, int]]:
    """Yield what a JSON body holds, each with its length: the items of an array one by one.

    Raises:
        Problem: If it is not JSON.
    """
    if json_pieces.is_short(body):
        content = _loads(body, "body")
        for item in content if isinstance(content, list) and not _is_pair(content) else [content]:
            yield item, 0
        return
    try:
        yield from json_pieces.items(body, builder.pause_if_due)
    except json_pieces.NotJsonError as error:
        raise Problem(falcon.HTTP_400, f"The body is not JSON: {error}") from error


def _loads_line(line: bytes, builder: BatchBuilder) -> object:
    if len(line) <= json_pieces.PIECE_BYTES:
        return _loads(line, "line")
    try:
        return json_pieces.column(line, builder.pause_if_due)
    except json_pieces.NotJsonError as error:
        raise Problem(falcon.HTTP_400, f"The line is not JSON: {error}") from error


def _lines(body: AnyStr, newline: AnyStr, builder: BatchBuilder) -> Iterator[AnyStr]:
    """Yield the lines of a body that are not empty.

    Raises:
        Problem: If it has too many, empty ones included.
    """
    body = body.rstrip()
    _bound(body.count(newline) + 1)
    for line in body.split(newline):
        builder.work(1 + len(line) // BYTES_PER_WORK)
        stripped = line.strip()
        if stripped:
            yield stripped


def _loads(text: bytes, what: str) -> object:
    try:
        # Takes NaN and Infinity, which are no JSON, so that they can be rejected by name.
        return json.loads(_decode(text))
    except (ValueError, RecursionError) as error:
        raise Problem(falcon.HTTP_400, f"The {what} is not JSON: {error}") from error


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(falcon.HTTP_400, f"The body is not UTF-8: {error}") from error
