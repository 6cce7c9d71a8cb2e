"""Forms, and what else comes under their type: ``curl -d`` names it whatever it sends."""

import re
from urllib.parse import parse_qsl

import falcon

from api.collector import json_body, text_body
from api.collector.batch_builder import BatchBuilder
from api.collector.bounded import LINE_LENGTH_MAX, decode
from api.problems import Problem
from metrics.errors import InvalidMessageError
from metrics.message import parse_value

_FIELDS = {"key", "value", "timestamp"}

# No line of text begins so: what stands in front of a key's comma or colon has no "=".
_FIRST_FIELD = re.compile(rb"\w*=")

_START_BYTES = 64
"""How much of a body shows what it is."""


def read(body: bytes, builder: BatchBuilder) -> None:
    """Give the messages of a form, of JSON or of text to a batch builder.

    Raises:
        Problem: If it is not what it looks like, or has too many messages.
    """
    start = body.lstrip()[:_START_BYTES]
    if start[:1] in (b"{", b"["):
        json_body.read(body, builder)
    elif _FIRST_FIELD.match(start):
        _add_form(decode(body).strip(), builder)
    else:
        text_body.read(body, builder)


def _add_form(text: str, builder: BatchBuilder) -> None:
    if len(text) > LINE_LENGTH_MAX:
        raise Problem(falcon.HTTP_400, f"A form may have at most {LINE_LENGTH_MAX} characters.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=len(_FIELDS))
    except ValueError:  # it has more fields
        pairs = []
    fields = dict(pairs)
    if len(pairs) > len(fields) or not {"key", "value"} <= fields.keys() <= _FIELDS:
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
