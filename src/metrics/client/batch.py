"""Batches: values encoded once, so that each repetition is the same to the last byte."""

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from metrics.client.buffer import Samples
from metrics.client.folds import Folded
from metrics.client.losses import Hours
from metrics.client_aggregate import AGGREGATE_COUNT_MAX
from metrics.hours import SECONDS_PER_HOUR

GZIP_BYTES_MIN = 1400
"""Bodies below it fit into one packet as they are."""

GZIP_LEVEL = 1
"""Half the bytes; a higher level saves a tenth more for several times the work."""

CHUNK_VALUES = 100
"""How many values are written between two breaths: less than 0.1 ms."""


BUCKETS_MAX = 20_000
"""Of the folds that are sent at once: some 200 KB, before they are compressed."""


@dataclass(slots=True)
class Batch:
    """What is sent at once, and what is known of its outcome.

    Attributes:
        idempotency_key: Recognises a repetition.
        body: The bytes to send.
        is_gzip: Whether they are compressed.
        values: How many values it has, those that are folded included.
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


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent at once, besides reports of what was dropped.

    Attributes:
        samples: Key -> timestamps and values in turn.
        folded: What is folded.
    """

    samples: dict[str, Samples] = field(default_factory=dict)
    folded: Sequence[Folded] = ()

    @property
    def raw_values(self) -> int:
        """How many values it has that are not folded."""
        return sum(map(len, self.samples.values())) // 2

    @property
    def values(self) -> int:
        """How many values it has."""
        return self.raw_values + sum(each.fold.count for each in self.folded)

    @property
    def hours(self) -> Hours:
        """How many values of each key and hour it has."""
        found: Hours = {}
        for key, samples in self.samples.items():
            for timestamp in samples[::2]:
                name = key, int(timestamp) // SECONDS_PER_HOUR
                found[name] = found.get(name, 0) + 1
        for each in self.folded:
            name = each.key, each.hour
            found[name] = found.get(name, 0) + each.fold.count
        return found

    def halves(self) -> list["Load"]:
        """Return the same in two parts, or in one if it cannot be divided."""
        if self.samples and self.folded:
            return [Load(self.samples), Load(folded=self.folded)]
        if self.folded:
            middle = len(self.folded) // 2
            return [
                Load(folded=part) for part in (self.folded[:middle], self.folded[middle:]) if part
            ]
        left = self.raw_values // 2
        parts: list[dict[str, Samples]] = [{}, {}]
        for key, some in self.samples.items():
            here = min(left, len(some) // 2)
            left -= here
            parts[0][key], parts[1][key] = some[: 2 * here], some[2 * here :]
        kept = ({key: some for key, some in part.items() if some} for part in parts)
        return [Load(part) for part in kept if part]


def loads_of(folded: Iterable[Folded]) -> Iterator[Load]:
    """Yield folds in parts, each of which a collector takes in one request."""
    part: list[Folded] = []
    values = buckets = 0
    for each in folded:
        values += each.fold.count
        buckets += len(each.fold.buckets)
        if part and (values > AGGREGATE_COUNT_MAX or buckets > BUCKETS_MAX):
            yield Load(folded=part)
            part, values, buckets = [], each.fold.count, len(each.fold.buckets)
        part.append(each)
    if part:
        yield Load(folded=part)


def encode(
    load: Load,
    drops: Hours,
    idempotency_key: str,
    yield_gil: Callable[[], None],
    chunk_values: int = CHUNK_VALUES,
) -> Batch:
    """Return a batch of values, and of reports of how many were dropped.

    Args:
        load: The values.
        drops: Key and hour -> how many were dropped.
        idempotency_key: Of the batch; used for no other.
        yield_gil: Called now and then, to let the app's threads run.
        chunk_values: How many values are written between two such calls.
    """
    items = [
        _write_samples(key, some, yield_gil, chunk_values) for key, some in load.samples.items()
    ]
    for each in load.folded:
        items.append(each.written)
        yield_gil()
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
        values=load.values,
    )


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
