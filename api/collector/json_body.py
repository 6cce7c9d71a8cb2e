"""JSON bodies, whole or a line at a time: from bytes to items.

JSON may also hold loss reports, ``{"key":...,"dropped":17}``: how many messages a sender dropped;
and client aggregates, ``{"key":...,"aggregate":{...}}``: what a sender has folded itself.
"""

import json
import re
from collections.abc import Iterator

import falcon

from api.collector import fast_json, json_pieces
from api.collector.batch_builder import BatchBuilder
from api.collector.bounded import (
    BYTES_PER_WORK,
    JOINED_BY_CURL,
    MESSAGES_MAX,
    bound,
    count_in,
    decode,
    lines,
)
from api.collector.json_items import add_item, pieces_in
from api.problems import Problem

_COMMAS_MAX = 3 * MESSAGES_MAX
"""In JSON: an object with a key, a value and a timestamp has two, and one stands behind it."""

_BRACKETS_MAX = 3 * MESSAGES_MAX
"""In JSON: an object may have two arrays."""


_JOINED = re.compile(rb"[}\]]\s*[{\[]")
"""Two items without a comma between them: a line each, or lines that were joined."""

_JOINED_WITHIN = 4096
"""How far it is looked for: where lines were joined, the first ones were."""


def read(body: bytes, builder: BatchBuilder) -> None:
    """Give what a JSON body holds to a batch builder: one item, or an array of them.

    Raises:
        Problem: If it is not JSON, or has too many messages.
    """
    _bound_size(body, builder)
    body = body.strip()
    builder.pause_if_due()
    if fast_json.read(body, builder):
        bound(builder.places)
        return
    builder.pause_if_due()
    pieces = 0
    for item, length in _items(body, builder):
        builder.work(length // BYTES_PER_WORK)
        pieces += pieces_in(item)
        bound(pieces)
        add_item(item, builder)


def read_lines(body: bytes, builder: BatchBuilder) -> None:
    """Give what a body of one JSON item a line holds to a batch builder; a bad line is rejected.

    Raises:
        Problem: If it has too many messages.
    """
    _bound_size(body, builder)
    pieces = 0
    for line in lines(body, b"\n", builder):
        try:
            item = _loads_line(line, builder)
        except Problem as error:
            builder.reject(str(error.description))
        else:
            pieces += pieces_in(item)
            bound(pieces)
            add_item(item, builder)


def _bound_size(body: bytes, builder: BatchBuilder) -> None:
    """Refuse what has too many messages before it is decoded: that alone can take long."""
    if len(body) > _COMMAS_MAX:
        bound(count_in(body, b",", builder), _COMMAS_MAX)
        if count_in(body, b"[", builder) + count_in(body, b"{", builder) > _BRACKETS_MAX:
            raise Problem(
                falcon.HTTP_400, f"A body may have at most {_BRACKETS_MAX} arrays and objects."
            )


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
        raise _not_json("body", body, error) from error


def _loads_line(line: bytes, builder: BatchBuilder) -> object:
    if len(line) <= json_pieces.PIECE_BYTES:
        return _loads(line, "line")
    try:
        return json_pieces.column(line, builder.pause_if_due)
    except json_pieces.NotJsonError as error:
        raise _not_json("line", line, error) from error


def _loads(text: bytes, what: str) -> object:
    try:
        # Takes NaN and Infinity, which are no JSON, so that they can be rejected by name.
        return json.loads(decode(text))
    except (ValueError, RecursionError) as error:
        raise _not_json(what, text, error) from error


def _not_json(what: str, text: bytes, error: Exception) -> Problem:
    hint = ""
    if _JOINED.search(text, 0, _JOINED_WITHIN):
        hint = f". JSON a line is application/x-ndjson; {JOINED_BY_CURL}"
    return Problem(falcon.HTTP_400, f"The {what} is not JSON: {error}{hint}")
