"""The names in Redis are fixed."""

from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of


def test_the_names_are_those_of_the_design() -> None:
    """The names in Redis are the documented ones."""
    partition = PartitionNames(7)

    assert partition.stream == "metrics:{7}:stream"
    assert (
        partition.hour(key_hour("checkout.web-1", Hour.parse("2026-11-23T14")))
        == "metrics:{7}:hour:2026-11-23T14:checkout.web-1"
    )
    assert partition.keys == "metrics:{7}:keys"
    assert partition.seen("batch-1") == "metrics:{7}:seen:batch-1"
    assert partition.dead == "metrics:{7}:dead"
    assert partition.audit == "metrics:{7}:audit"


@given(st.integers(0, 16383), st.text(min_size=1, max_size=128))
def test_all_names_of_a_partition_are_in_one_slot(number: int, text: str) -> None:
    """All names of a partition are in one slot, whatever a key or idempotency key contains."""
    partition = PartitionNames(number)
    names = [
        partition.stream,
        partition.keys,
        partition.dead,
        partition.audit,
        partition.backlog,
        partition.hour(text),
        partition.seen(text),
        partition.batch(text),
    ]

    assert len({key_slot(name.encode()) for name in names}) == 1


def test_a_key_is_in_the_partition_of_its_crc32() -> None:
    """A key's partition is its CRC-32 modulo the number of partitions."""
    assert partition_of("checkout.web-1", 16) == crc32(b"checkout.web-1") % 16
