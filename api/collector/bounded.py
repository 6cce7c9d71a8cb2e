"""How much a body may hold, and its lines: what all forms of bodies have in common."""

from collections.abc import Iterator
from typing import AnyStr

import falcon

from api.collector.batch_builder import BatchBuilder
from api.problems import Problem

MESSAGES_MAX = 150_000
"""Messages and loss reports in one request: the largest batch of our client and half as many more.
To look at each takes a second or so, in slices between which others go on."""

LINE_LENGTH_MAX = 1024
"""How long a line of text may be, or a form: neither has more than a key and some numbers."""

BYTES_PER_WORK = 256
"""How much text costs as much as a message."""

PIECE_LENGTH = 65_536
"""How much text is split into lines at once."""

COUNTED_AT_ONCE = 1_048_576
"""How much of a body is looked through before others may go on."""

JOINED_BY_CURL = "curl -d @file joins the lines of a file, --data-binary @file keeps them"
"""What is said where lines seem to have been joined."""


def bound(messages: int, messages_max: int = MESSAGES_MAX) -> None:
    """See that a request has not too many messages.

    Raises:
        Problem: If it has.
    """
    if messages > messages_max:
        raise Problem(
            falcon.HTTP_413,
            f"A request may have at most {MESSAGES_MAX} messages; send smaller batches.",
        )


def lines(body: AnyStr, newline: AnyStr, builder: BatchBuilder) -> Iterator[AnyStr]:
    """Yield the lines of a body that are not empty.

    Raises:
        Problem: If it has too many, empty ones included.
    """
    body = body.rstrip()
    bound(count_in(body, newline, builder) + 1)
    start = 0
    while start >= 0:
        # Split as a whole, a body takes many times its room while others go on.
        end = body.find(newline, start + PIECE_LENGTH)
        for line in body[start : None if end < 0 else end].split(newline):
            builder.work(1 + len(line) // BYTES_PER_WORK)
            stripped = line.strip()
            if stripped:
                yield stripped
        start = end + 1 if end >= 0 else -1


def count_in(body: AnyStr, what: AnyStr, builder: BatchBuilder) -> int:
    """Return how often a character is in a body, which may be long."""
    found = 0
    for start in range(0, len(body), COUNTED_AT_ONCE):
        found += body.count(what, start, start + COUNTED_AT_ONCE)
        builder.pause_if_due()
    return found


def decode(body: bytes) -> str:
    """Return a body as text.

    Raises:
        Problem: If it is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(falcon.HTTP_400, f"The body is not UTF-8: {error}") from error
