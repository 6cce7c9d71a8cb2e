"""Merging many key-hours at once gives the same as merging them one by one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.aggregate import BUCKET_PREFIX, EMPTY, Aggregate
from metrics.errors import StorageUnsoundError
from metrics.merged import Merger, merged
from metrics.soundness import read_hashes

VALUES = st.lists(st.floats(0, 1e300), min_size=1, max_size=20)
SOUND = {"count": "1", "sum": "2.5", "min": "2.5", "max": "2.5", "b:47": "1"}


def reply_of(values: Sequence[float], dropped: int = 0) -> list[bytes]:
    """Return what HGETALL replies for the key-hour of some values."""
    fields: dict[str, object] = {"dropped": dropped} if dropped else {}
    if values:
        aggregate = Aggregate.of(values)
        fields |= {name: getattr(aggregate, name) for name in ("count", "sum", "min", "max")}
        fields |= {f"{BUCKET_PREFIX}{bucket}": count for bucket, count in aggregate.histogram}
    return flat(fields)


def flat(fields: dict[str, object]) -> list[bytes]:
    """Return fields as Redis replies them."""
    return [str(part).encode() for field in fields.items() for part in field]


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_it_is_the_same_as_merging_one_by_one(groups: list[list[float]]) -> None:
    """Many hashes merge to the same aggregate as one by one, but for the rounding of the sum."""
    plain = reduce(Aggregate.merged_with, map(Aggregate.of, groups))

    found = merged([reply_of(values) for values in groups])

    assert (found.count, found.histogram) == (plain.count, plain.histogram)
    assert (found.min, found.max) == (plain.min, plain.max)
    assert found.sum == pytest.approx(plain.sum, rel=1e-12)


def test_what_has_no_messages_adds_none() -> None:
    """A key-hour that is missing, or of which all was dropped, adds no message."""
    found = merged([[], reply_of([1, 2], dropped=3), reply_of([], dropped=4), reply_of([5]), []])

    assert found == replace(Aggregate.of([1, 2, 5]), dropped=7)
    assert merged([[], reply_of([], dropped=4)]) == replace(EMPTY, dropped=4)
    assert merged([[], []]) == EMPTY


def test_parts_that_are_merged_make_the_whole() -> None:
    """What parts hold together is what all their hashes hold."""
    parts = [[reply_of([1.0]), reply_of([], dropped=4)], [reply_of([2.0, 3.0], dropped=1)], [[]]]
    whole = Merger()
    for hashes in parts:
        part = Merger()
        part.add(read_hashes(hashes))
        whole.add_merged(part)

    assert whole.merged() == replace(Aggregate.of([1.0, 2.0, 3.0]), dropped=5)


def test_a_sum_that_exceeds_the_largest_double_stays_there() -> None:
    """A merged sum stops at the largest double."""
    found = merged([reply_of([1.7e308])] * 2)

    assert found.sum == 1.7976931348623157e308


@pytest.mark.parametrize(
    "change",
    [
        {"count": "2"},
        {"count": "many"},
        {"count": "0", "b:47": "0"},
        {"count": "-1", "b:47": "-1"},
        {"count": "1.5", "b:47": "1.5"},
        {"b:47": "nan"},
        {"b:x": "1"},
        {"c:47": "0"},
        {"sum": "inf"},
        {"min": "3"},
        {"min": "-1"},
        {"max": "inf"},
        {"dropped": "-1"},
        {"dropped": "0.5"},
    ],
)
def test_a_hash_that_is_not_ours_is_no_answer(change: dict[str, str]) -> None:
    """One unsound hash among sound ones raises an error."""
    unsound = flat(SOUND | change)

    assert merged([flat(SOUND)] * 2).count == 2
    for hashes in ([unsound, flat(SOUND)], [flat(SOUND), unsound]):
        with pytest.raises(StorageUnsoundError, match="not the hash of a key-hour"):
            merged(hashes)


@pytest.mark.parametrize("name", SOUND)
def test_a_hash_that_lacks_a_field_is_no_answer(name: str) -> None:
    """A hash that lacks a field raises an error, even if another hash has it."""
    partial = flat({key: value for key, value in SOUND.items() if key != name})

    with pytest.raises(StorageUnsoundError):
        merged([flat(SOUND), partial])
