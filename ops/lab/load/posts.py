"""Requests made before the load begins: sending one is little more than copying it."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from metrics.client.batch import Load, encode
from ops.lab.load.messages import (
    Message,
    column,
    json_array,
    json_columns,
    json_object,
    response_times,
    rows,
)

Form = Literal["client", "columns", "rows", "single"]
FORMS: tuple[Form, ...] = get_args(Form)
"""Batches as the client library sends them; a column of one key; rows of all keys; one message."""

BODIES = 20
BODIES_OF_ONE = 1000
"""Different bodies, or as many as there are keys if that is more; sent in turns."""

_WRITERS: dict[Form, Callable[[Sequence[Message]], str]] = {
    "columns": json_columns,
    "rows": json_array,
    "single": json_object,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it goes over the wire, but for an ``Idempotency-Key`` that it may get.

    Attributes:
        head: Its lines, without the empty one.
        body: What follows that.
        messages: How many it has; a query counts as one.
    """

    head: bytes
    body: bytes
    messages: int

    def under(self, idempotency_key: str) -> bytes:
        """Return the whole of it, under a key if that is not empty."""
        key = f"Idempotency-Key: {idempotency_key}\r\n" if idempotency_key else ""
        return self.head + key.encode() + b"\r\n" + self.body


def get(path: str) -> Request:
    """Return a query."""
    return Request(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode(), b"", 1)


def posts_of(form: Form, keys: Sequence[str], batch: int, now: float) -> list[Request]:
    """Return posts of all keys, the same number for each key.

    Args:
        form: How to write them.
        keys: Of their messages. In rows all keys take turns, else a body has one key, and bodies
            take turns.
        batch: Messages in a body; 1 if ``form`` is ``single``.
        now: Unix seconds, for the form that has timestamps.
    """
    least = BODIES_OF_ONE if form == "single" else BODIES
    count = -(-least // len(keys)) * len(keys)
    return [_post(form, keys, i, batch, now) for i in range(count)]


def order_with_hot_key(posts: int, keys: int, hot: float) -> list[int]:
    """Return in which order to send posts, if one key has a share of all messages.

    Args:
        posts: How many there are, of ``keys`` keys in turns; the hot key is the first of these.
        keys: How many keys there are, at least two.
        hot: Its share, 0 to 1.

    Returns:
        Indexes of posts. As far as whole posts can, each part of it has that share.
    """
    of_hot = [i for i in range(posts) if i % keys == 0]
    of_others = [i for i in range(posts) if i % keys]
    turns = round(len(of_others) / max(1 - hot, 1 / posts))
    order, hot_sent = [], 0
    for turn in range(turns):
        if int((turn + 1) * hot) > hot_sent:
            order.append(of_hot[hot_sent % len(of_hot)])
            hot_sent += 1
        else:
            order.append(of_others[(turn - hot_sent) % len(of_others)])
    return order


def _post(form: Form, keys: Sequence[str], number: int, batch: int, now: float) -> Request:
    if form == "client":
        values = response_times(batch, number)
        pairs = array("d", [each for value in values for each in (now, value)])
        sealed = encode(Load({keys[number % len(keys)]: pairs}), {}, "", yield_gil=lambda: None)
        more = "Content-Encoding: gzip\r\n" if sealed.is_gzip else ""
        return _whole(sealed.body, sealed.values, more)
    make = column if form == "columns" else rows
    return _whole(_WRITERS[form](make(keys, batch, number)).encode(), batch)


def _whole(body: bytes, messages: int, more: str = "") -> Request:
    head = (
        "POST /messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{more}"
    )
    return Request(head.encode(), body, messages)
