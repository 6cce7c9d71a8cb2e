"""The client's buffer is bounded, keeps the order, and counts exactly what it drops."""

import sys
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.client.buffer import Buffer
from metrics.client.counter import LockFreeCounter

HOUR_S = 3600
NOON = 1_795_442_400.0


class Calls:
    """Counts how often the sender was called, and is the clock."""

    def __init__(self) -> None:
        self.count = 0
        self.now = NOON

    def call(self) -> None:
        """Count one call."""
        self.count += 1


def buffer_of(values_max: int = 10, batch_size: int = 4, calls: Calls | None = None) -> Buffer:
    """Return a small buffer."""
    calls = calls or Calls()
    return Buffer(
        values_max=values_max, batch_size=batch_size, now=lambda: calls.now, call=calls.call
    )


def drain(buffer: Buffer) -> dict[str, list[float]]:
    """Take every batch out of a buffer, release it, and return the values by key."""
    found: dict[str, list[float]] = {}
    for samples in buffer.batches():
        for key, column in samples.items():
            found.setdefault(key, []).extend(column[1::2])
            buffer.release(len(column) // 2)
    return found


def test_values_come_out_by_key_in_their_order_with_their_times() -> None:
    """A taken batch holds, for each key, timestamps and values in turn."""
    calls = Calls()
    buffer = buffer_of(calls=calls)
    for key, value in (("a", 1), ("b", 2.5), ("a", 3.0)):
        calls.now += 1
        buffer.add(key, value)

    (samples,) = buffer.batches()

    assert {key: list(column) for key, column in samples.items()} == {
        "a": [NOON + 1, 1.0, NOON + 3, 3.0],
        "b": [NOON + 2, 2.5],
    }


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("", 1.0, "key must be 1 to 128 characters"),
        ("a b", 1.0, "key must be"),
        (5, 1.0, "key must be"),
        (["a"], 1.0, "key must be"),
        (None, 1.0, "key must be"),
        ("a", True, "value must be a number, got True"),
        ("a", "1", "value must be a number, got '1'"),
        ("a", None, "value must be a number"),
        ("a", -1, "value must be 0 or more, got -1"),
        ("a", -0.5, "value must be 0 or more, got -0.5"),
        ("a", float("nan"), "value must be finite, got nan"),
        ("a", float("inf"), "value must be finite, got inf"),
        ("a", 10**400, "value must be finite"),
    ],
)
def test_a_wrong_key_or_value_is_an_error_at_once_and_counts_nowhere(
    key: object, value: object, told: str
) -> None:
    """A wrong key or value raises ValueError, takes no room and stands in no count."""
    buffer = buffer_of()

    with pytest.raises(ValueError, match=told):
        buffer.add(key, value)  # type: ignore[arg-type]

    assert (buffer.recorded, buffer.dropped, buffer.outstanding) == (0, 0, 0)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("abc"), st.integers(1, 9)),
            st.tuples(st.just("take"), st.just(""), st.just(0)),
            st.tuples(st.just("drops"), st.just(""), st.just(0)),
        ),
        max_size=60,
    ),
    values_max=st.integers(1, 12),
    batch_size=st.integers(1, 6),
)
def test_at_most_so_many_wait_and_each_value_is_kept_or_counted_as_dropped(
    steps: list[tuple[str, str, int]], values_max: int, batch_size: int
) -> None:
    """A buffer keeps at most `values_max`, and every value is taken or reported as dropped."""
    buffer = buffer_of(values_max, batch_size)
    added: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    reported: Counter[str] = Counter()
    for what, key, times in [*steps, ("take", "", 0), ("drops", "", 0)]:
        if what == "add":
            for _ in range(times):
                buffer.add(key, 1.0)
            added[key] += times
        elif what == "take":
            for name, values in drain(buffer).items():
                taken[name] += len(values)
        else:
            for (name, _), count in buffer.take_drops().items():
                reported[name] += count
        assert buffer.outstanding - (buffer.dropped - reported.total()) <= values_max
        assert buffer.waiting <= values_max

    assert taken + reported == added
    assert buffer.recorded == added.total()
    assert buffer.dropped == reported.total()
    assert buffer.outstanding == 0


def test_what_is_taken_keeps_its_room_until_it_is_done_with() -> None:
    """Values that are taken and not released occupy room, so that memory stays bounded."""
    buffer = buffer_of(values_max=4, batch_size=4)
    for _ in range(4):
        buffer.add("a", 1.0)
    list(buffer.batches())
    buffer.add("a", 2.0)

    assert (buffer.waiting, buffer.dropped) == (0, 1)

    buffer.release(4)
    buffer.take_drops()
    buffer.add("a", 3.0)

    assert drain(buffer) == {"a": [3.0]}


def test_the_newest_are_dropped() -> None:
    """A full buffer keeps the values that came first and drops the newest."""
    buffer = buffer_of(values_max=3)
    for value in range(5):
        buffer.add("a", float(value))

    assert drain(buffer) == {"a": [0.0, 1.0, 2.0]}


def test_drops_are_told_by_key_and_hour_and_each_once() -> None:
    """Drops are returned by key and hour, and each drop is returned once."""
    calls = Calls()
    buffer = buffer_of(values_max=1, calls=calls)
    buffer.add("a", 1.0)
    buffer.add("a", 1.0)
    buffer.add("b", 1.0)
    calls.now += HOUR_S
    buffer.add("a", 1.0)
    buffer.add("a", 1.0)
    noon = int(NOON) // HOUR_S

    assert buffer.take_drops() == {("a", noon): 1, ("b", noon): 1, ("a", noon + 1): 2}
    assert buffer.take_drops() == {}

    buffer.add("a", 1.0)

    assert buffer.take_drops() == {("a", noon + 1): 1}


def test_hours_that_are_long_over_take_no_memory() -> None:
    """Drops of hours long over are kept only as a sum, not by hour."""
    calls = Calls()
    buffer = buffer_of(values_max=1, calls=calls)
    buffer.add("a", 1.0)
    for _ in range(50):
        buffer.add("a", 1.0)
        buffer.take_drops()
        calls.now += HOUR_S

    assert len(buffer._drops) <= 3
    assert buffer.dropped == 50
    assert buffer.outstanding == 1


def test_the_sender_is_called_at_the_first_value_and_at_each_batch() -> None:
    """The sender is called at the first value and at a full batch, and not in between."""
    calls = Calls()
    buffer = buffer_of(values_max=100, batch_size=4, calls=calls)
    buffer.add("a", 1.0)

    assert calls.count == 1

    buffer.set_wake_threshold(4)
    for _ in range(2):
        buffer.add("a", 1.0)

    assert calls.count == 1

    buffer.add("a", 1.0)
    buffer.add("a", 1.0)

    assert calls.count == 2

    drain(buffer)
    buffer.set_wake_threshold(4)
    buffer.add("a", 1.0)

    assert calls.count == 3


def test_after_the_end_everything_is_dropped_and_counted() -> None:
    """A closed buffer drops and counts every value, even when it has room again."""
    buffer = buffer_of()
    buffer.add("a", 1.0)
    buffer.close()
    buffer.add("a", 2.0)

    assert drain(buffer) == {"a": [1.0]}

    buffer.add("a", 3.0)
    buffer.set_wake_threshold(4)
    buffer.add("a", 4.0)

    assert (buffer.recorded, buffer.dropped, buffer.waiting) == (4, 3, 0)


def test_a_value_takes_16_bytes() -> None:
    """A waiting value takes 16 bytes in its column, and 15 % in reserve at most."""
    buffer = buffer_of(values_max=100_000, batch_size=50_000)
    for _ in range(100_000):
        buffer.add("a", 1.0)

    (column,) = buffer._samples.values()

    assert sys.getsizeof(column) <= 16 * 100_000 * 1.15  # what grows keeps a little in reserve


def test_many_threads_lose_and_double_nothing() -> None:
    """Every value of many threads is taken or reported as dropped, exactly once."""
    buffer = buffer_of(values_max=500, batch_size=100)
    threads_count, each = 6, 20_000
    taken: Counter[str] = Counter()
    dropped: Counter[str] = Counter()

    def add(key: str) -> None:
        for _ in range(each):
            buffer.add(key, 1.0)

    def take() -> None:
        for name, values in drain(buffer).items():
            taken[name] += len(values)
        for (name, _), count in buffer.take_drops().items():
            dropped[name] += count

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=add, args=(f"k{i % 3}",)) for i in range(threads_count)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            take()
            assert buffer.waiting <= 500
        take()
    finally:
        sys.setswitchinterval(before)

    assert taken + dropped == {f"k{i}": 2 * each for i in range(3)}
    assert buffer.recorded == threads_count * each
    assert buffer.outstanding == 0


def test_a_tally_counts_what_many_threads_add() -> None:
    """A lock-free counter adds up exactly what four threads have added."""
    tally = LockFreeCounter()
    threads = [
        threading.Thread(target=lambda: [tally.add() for _ in range(10_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tally.total == tally.total == 40_000
