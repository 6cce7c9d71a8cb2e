"""Batches: values sealed for their way, so that each repetition is the same to the last byte."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass

from metrics.client.buffer import Column, Hours
from metrics.hours import SECONDS_PER_HOUR

GZIP_BYTES_MIN = 1400
"""Bodies below it fit into one packet as they are."""

GZIP_LEVEL = 1
"""Half the bytes; a higher level saves a tenth more for several times the work."""

CHUNK_VALUES = 100
"""How many values are written between two breaths: less than 0.1 ms."""


@dataclass(slots=True)
class Batch:
    """What is sent at once, and what is known of its fate.

    Attributes:
        idempotency_key: Recognises a repetition.
        body: The bytes to send.
        is_gzip: Whether they are compressed.
        values: How many values it has.
        attempts: How often it was sent.
        unknown_since: When it may first have been stored, on the monotonic clock.
        faulty_since: When the way was first said to be at fault, on the same clock.
    """

    idempotency_key: str
    body: bytes
    is_gzip: bool
    values: int
    attempts: int = 0
    unknown_since: float | None = None
    faulty_since: float | None = None


def seal(
    columns: dict[str, Column],
    drops: Hours,
    idempotency_key: str,
    breathe: Callable[[], None],
) -> Batch:
    """Return a batch of columns, and of reports of how many values were dropped.

    Args:
        columns: Key -> timestamps and values in turn.
        drops: Key and hour -> how many were dropped.
        idempotency_key: Of the batch; used for no other.
        breathe: Called now and then, to let the app's threads run.
    """
    items = [_write_column(key, column, breathe) for key, column in columns.items()]
    items += (
        f'{{"key":"{key}","dropped":{count},"timestamp":{hour * SECONDS_PER_HOUR}}}'
        for (key, hour), count in drops.items()
    )
    body = (items[0] if len(items) == 1 else f"[{','.join(items)}]").encode()
    is_gzip = len(body) >= GZIP_BYTES_MIN
    return Batch(
        idempotency_key,
        gzip.compress(body, GZIP_LEVEL, mtime=0) if is_gzip else body,
        is_gzip,
        values=sum(map(len, columns.values())) // 2,
    )


def halves(columns: dict[str, Column]) -> list[dict[str, Column]]:
    """Return the same values in two parts, or in one if it is one value."""
    left = sum(map(len, columns.values())) // 4
    parts: list[dict[str, Column]] = [{}, {}]
    for key, column in columns.items():
        here = min(left, len(column) // 2)
        left -= here
        parts[0][key], parts[1][key] = column[: 2 * here], column[2 * here :]
    return [
        kept for part in parts if (kept := {key: column for key, column in part.items() if column})
    ]


def _write_column(key: str, column: Column, breathe: Callable[[], None]) -> str:
    # A key needs no escape in JSON, nor does the text of a finite float.
    timestamps, values = [], []
    for start in range(0, len(column), 2 * CHUNK_VALUES):
        chunk = column[start : start + 2 * CHUNK_VALUES]
        # Whole seconds, rounded down: they are in the same hour, and half as long.
        timestamps.append(",".join(map(str, map(int, chunk[::2]))))
        values.append(",".join(map(repr, chunk[1::2])))
        breathe()
    return f'{{"key":"{key}","values":[{",".join(values)}],"timestamps":[{",".join(timestamps)}]}}'
