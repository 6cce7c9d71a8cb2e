"""What lies in Redis, by whomever: entries of a stream, and hashes of key-hours."""

import math
from typing import cast

from metrics.aggregate import Aggregate
from metrics.entry import PendingEntry, messages_in, read_key_hour
from metrics.errors import EntryUnreadableError
from metrics.fold import Folded, fold
from metrics.hash_fields import Fields, parse_fields
from metrics.merged import Merger, merged, merged_of
from metrics.soundness import UnsoundHashError, join_pages
from metrics.statistic import parse_statistic
from ops.lab.fuzz.bodies import ENTRY_ID
from ops.lab.fuzz.target import Pause, Target, require


def _fields_in(data: bytes) -> list[bytes]:
    """Return fields and texts in turn: a pair a line, with a tab between."""
    return [part for line in data.split(b"\n") for part in line.partition(b"\t")[::2]]


def _fold(data: bytes, _: Pause) -> tuple[list[bytes], Folded]:
    fields = _fields_in(data)
    return fields, fold([PendingEntry(ENTRY_ID, fields)], lateness_s=0)


def _check_folded(_: bytes, found: tuple[list[bytes], Folded]) -> None:
    fields, folded = found
    require(messages_in(fields) == folded.messages, "other messages are counted", folded.messages)
    twice = fold([PendingEntry(ENTRY_ID, fields)] * 2, lateness_s=0)
    for field, aggregate in folded.aggregates.items():
        read_key_hour(field)
        told = merged_of(hash_of(aggregate))
        require(told.count == aggregate.count, "its hash has another count", aggregate, told)
        both = aggregate.merged_with(aggregate)
        again = twice.aggregates[field]
        require(
            (again.count, again.min, again.max) == (both.count, both.min, both.max),
            "folded twice it is another",
            again,
        )
        require(again.histogram == both.histogram, "folded twice it has other buckets", again)


def hash_of(aggregate: Aggregate) -> dict[bytes, bytes]:
    """Return the hash that a commit of an aggregate writes."""
    fields: dict[bytes, bytes] = {}
    if aggregate.count:
        fields = {
            b"count": b"%d" % aggregate.count,
            b"sum": b"%.17g" % aggregate.sum,
            b"min": b"%.17g" % aggregate.min,
            b"max": b"%.17g" % aggregate.max,
            **{b"b:%d" % bucket: b"%d" % count for bucket, count in aggregate.histogram},
        }
    return fields | ({b"dropped": b"%d" % aggregate.dropped} if aggregate.dropped else {})


def _read_hash(data: bytes, _: Pause) -> tuple[dict[bytes, bytes], Aggregate]:
    parts = _fields_in(data)
    fields = dict(zip(parts[::2], parts[1::2], strict=True))
    return fields, merged_of(fields)


def _check_hash(_: bytes, found: tuple[dict[bytes, bytes], Aggregate]) -> None:
    fields, aggregate = found
    flat = [part for field in fields.items() for part in field]
    if aggregate.count:
        _check_numbers(aggregate)
    beside = merged(
        [flat, [b"count", b"1", b"sum", b"1", b"min", b"1", b"max", b"1", b"b:0", b"1"]]
    )
    require(beside.count == aggregate.count + 1, "beside another it is read otherwise", fields)
    middle = len(fields) // 2 * 2
    merger = Merger()
    merger.add(join_pages([_page(flat[:middle]), _page(flat[middle:])]))
    require(merger.merged() == aggregate, "page by page it is read otherwise", fields)


def _page(flat: list[bytes]) -> Fields:
    return parse_fields(flat[::2], flat[1::2], len(flat) // 2)


def _check_numbers(aggregate: Aggregate) -> None:
    members = parse_statistic("summary").members(aggregate)
    require(all(math.isfinite(cast("float", v)) for v in members.values()), "no number", members)
    quantiles = [aggregate.quantile(q / 20) for q in range(21)]
    require(quantiles == sorted(quantiles), "quantiles are not in order", quantiles)
    require(aggregate.min <= quantiles[0] and quantiles[-1] <= aggregate.max, "outside", quantiles)
    require(aggregate.min <= aggregate.average <= aggregate.max, "no average", aggregate)
    shares = [aggregate.share_at_most(q) for q in quantiles]
    require(all(0 <= share <= 1 for share in shares), "no share", shares)


_SOUND = hash_of(Aggregate.of([10.0, 20.0, 30.0, 100.0]))

ENTRY: Target[tuple[list[bytes], Folded]] = Target(
    _fold,
    (EntryUnreadableError,),
    _check_folded,
    [
        b"2026-11-23T14:checkout.web-1\t123.4,98.1,250.0*10",
        b"2026-11-23T14:a\tdropped=17\n2026-11-23T14:a\t1e300,5e-324\n2026-11-23T13:a\t0",
        b"2026-11-23T14:a\t1*1000000,-0.0\nx\ty",
    ],
)

HASH: Target[tuple[dict[bytes, bytes], Aggregate]] = Target(
    _read_hash,
    (UnsoundHashError,),
    _check_hash,
    [
        b"\n".join(b"%b\t%b" % field for field in _SOUND.items()),
        b"\n".join(b"%b\t%b" % field for field in {**_SOUND, b"sum": b"-5"}.items()),
        b"dropped\t17\nlate\t0",
        b"count\t9007199254740991\nsum\t1e308\nmin\t0\nmax\t5e-324\nb:-32768\t1",
        b"colour\tred\nb:00\t1\ncount\t1e0",
    ],
)
