"""``send``: messages from arguments or from standard input."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BufferedReader
from typing import cast

import click

from metrics.cli import delivery, options, screen
from metrics.cli.delivery import Collectors, UnknownOutcomeError
from metrics.cli.failures import NotAllTakenError
from metrics.client.outcome import Result

READ_BYTES = 262_144
LINE_BYTES_MAX = 1_048_576
BODY_BYTES_MAX = 8_388_608
"""What a collector takes at once, as shipped."""


@click.command()
@click.argument("messages", nargs=-1)
@click.option(
    "--idempotency-key",
    default="",
    help="A name for all of it together: sent again under the same one, it counts once.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to go on trying while no collector takes it.",
)
@options.as_json
@options.collectors
@options.token
def send(
    messages: tuple[str, ...],
    idempotency_key: str,
    wait_s: float,
    *,
    is_json: bool,
    urls: str,
    token: str,
) -> None:
    r"""Send MESSAGES: a key and its values, or texts key,value; without any, standard input.

    \b
    send checkout.web-1 98.1 104.2
    send checkout.web-1,98.1 checkout.web-2,7
    tail -f times.txt | send            lines key,value, StatsD timings, or JSON
    """
    if not messages and sys.stdin.isatty():
        raise click.UsageError("name messages, or pipe lines such as checkout.web-1,98.1 into it")
    if messages:
        content_type, bodies = delivery.TEXT, iter([_lines_of(messages)])
    else:
        content_type, bodies = _bodies_of(
            cast("BufferedReader", sys.stdin.buffer), is_one=bool(idempotency_key)
        )
    counts = _Counts()
    with closing(Collectors(urls, token, wait_s=wait_s, content_type=content_type)) as collectors:
        for body in bodies:
            counts.add(body, _post(collectors, body, idempotency_key))
    accepted, rejected = counts.accepted, counts.rejected
    if is_json:
        click.echo(screen.json_line({"accepted": accepted, "rejected": rejected}))
    else:
        click.echo(f"{accepted} accepted" + (f", {rejected} rejected" if rejected else ""))
    if rejected:
        raise NotAllTakenError(f"rejected: {counts.reason}")


@dataclass(slots=True)
class _Counts:
    accepted: int = 0
    rejected: int = 0
    reason: str = ""

    def add(self, body: bytes, result: Result) -> None:
        self.accepted += result.accepted
        self.rejected += result.rejected
        self.reason = self.reason or result.detail


def _post(collectors: Collectors, body: bytes, idempotency_key: str) -> Result:
    key = idempotency_key or f"send/{secrets.token_hex(16)}"
    try:
        return collectors.post(body, lines=body.count(b"\n") + 1, idempotency_key=key)
    except UnknownOutcomeError as error:
        raise UnknownOutcomeError(
            f"{error.message}. Send the same again within {delivery.REPEAT_S / 60:.0f} minutes "
            f"with --idempotency-key {key}: it counts once"
        ) from error


def _lines_of(messages: tuple[str, ...]) -> bytes:
    """Return arguments as lines of text.

    Raises:
        click.UsageError: If a key comes without a value.
    """
    key, *values = messages
    if any(sign in key for sign in ",|="):
        return "\n".join(messages).encode()
    if not values:
        raise click.UsageError(f"{key} has no value: send {key} 98.1")
    return "\n".join(f"{key},{value}" for value in values).encode()


def _bodies_of(stream: BufferedReader, *, is_one: bool) -> tuple[str, Iterator[bytes]]:
    """Return the type and the bodies that a stream makes: whole lines, as soon as they come."""
    first = _read(stream)
    beginning = first.lstrip()[:1]
    if beginning == b"[" or is_one:
        whole = first + stream.read(BODY_BYTES_MAX + 1 - len(first))
        if len(whole) > BODY_BYTES_MAX:
            raise click.UsageError(
                f"more than {BODY_BYTES_MAX} bytes; one array, or what has one --idempotency-key, "
                "is sent at once: send less, or lines without a key"
            )
        json_type = delivery.JSON if beginning == b"[" else delivery.JSON_LINES
        return (json_type if beginning in b"[{" else delivery.TEXT), iter([whole])
    content_type = delivery.JSON_LINES if beginning == b"{" else delivery.TEXT
    return content_type, _whole_lines(first, stream)


def _whole_lines(first: bytes, stream: BufferedReader) -> Iterator[bytes]:
    more, unread = first, b""
    while more:
        lines, _, unread = (unread + more).rpartition(b"\n")
        if len(unread) > LINE_BYTES_MAX:
            raise click.UsageError(f"a line has more than {LINE_BYTES_MAX} bytes")
        if lines.strip():
            yield lines
        more = _read(stream)
    if unread.strip():
        yield unread


def _read(stream: BufferedReader) -> bytes:
    """Return what is there now, and wait only for the first of it."""
    return stream.read1(READ_BYTES)
