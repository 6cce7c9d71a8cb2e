"""Request bodies, whatever their type: their messages go into a batch builder, one by one."""

import re
from collections.abc import Callable
from functools import lru_cache

import falcon

from api.collector import form_body, json_body, text_body
from api.collector.batch_builder import BatchBuilder
from api.problems import Problem
from metrics.message import shown

_Reader = Callable[[bytes, BatchBuilder], None]

_FORM = "application/x-www-form-urlencoded"

_READERS: dict[str, _Reader] = {
    "application/json": json_body.read,
    "application/x-ndjson": json_body.read_lines,
    "application/jsonl": json_body.read_lines,
    "text/plain": text_body.read,
    "text/csv": text_body.read,
    _FORM: form_body.read,
}


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


@lru_cache(maxsize=64)
def _reader_of(content_type: str | None) -> _Reader:
    """Return what reads bodies of a type; remembered, since all senders name one of a few."""
    media_type, _, parameters = (content_type or "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters)
    if charset and charset[1] not in {"utf-8", "utf8", "us-ascii"}:
        raise Problem(falcon.HTTP_415, "The charset must be utf-8.")
    # curl names the form type by itself, and some clients name none.
    read = _READERS.get(media_type.strip() or _FORM)
    if read is None:
        raise Problem(
            falcon.HTTP_415,
            f"Content-Type must be one of {', '.join(_READERS)}, got {shown(media_type.strip())}.",
        )
    return read
