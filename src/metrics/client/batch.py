"""Batches: values encoded once, so that each repetition is the same to the last byte."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass

from metrics.client.buffer import Hours, Samples
from metrics.hours import SECONDS_PER_HOUR

GZIP_BYTES_MIN = 1400
"""Bodies below it fit into one packet as they are."""

GZIP_LEVEL = 1
"""Half the bytes; a higher level saves a tenth more for several times the work."""

CHUNK_VALUES = 100
"""How many values are written between two breaths: less than 0.1 ms."""


@dataclass(slots=True)
class Batch:
    """What is sent at once, and what is known of its outcome.

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


def encode(
    samples: dict[str, Samples],
    drops: Hours,
    idempotency_key: str,
    yield_gil: Callable[[], None],
    chunk_values: int = CHUNK_VALUES,
) -> Batch:
    """Return a batch of samples, and of reports of how many were dropped.

    Args:
        samples: Key -> timestamps and values in turn.
        drops: Key and hour -> how many were dropped.
        idempotency_key: Of the batch; used for no other.
        yield_gil: Called now and then, to let the app's threads run.
        chunk_values: How many values are written between two such calls.
    """
    items = [_write_samples(key, some, yield_gil, chunk_values) for key, some in samples.items()]
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
        values=sum(map(len, samples.values())) // 2,
    )


def halves(samples: dict[str, Samples]) -> list[dict[str, Samples]]:
    """Return the same values in two parts, or in one if it is one value."""
    left = sum(map(len, samples.values())) // 4
    parts: list[dict[str, Samples]] = [{}, {}]
    for key, some in samples.items():
        here = min(left, len(some) // 2)
        left -= here
        parts[0][key], parts[1][key] = some[: 2 * here], some[2 * here :]
    return [kept for part in parts if (kept := {key: some for key, some in part.items() if some})]


def _write_samples(
    key: str, samples: Samples, yield_gil: Callable[[], None], chunk_values: int
) -> str:
    # A key needs no escape in JSON, nor does the text of a finite float.
    timestamps, values = [], []
    for start in range(0, len(samples), 2 * chunk_values):
        chunk = samples[start : start + 2 * chunk_values]
        # Whole seconds, rounded down: they are in the same hour, and half as long.
        timestamps.append(",".join(map(str, map(int, chunk[::2]))))
        values.append(",".join(map(repr, chunk[1::2])))
        yield_gil()
    return f'{{"key":"{key}","values":[{",".join(values)}],"timestamps":[{",".join(timestamps)}]}}'
