"""A full buffer folds instead of dropping: what waits is bounded in bytes and in keys."""

import gc
import tracemalloc
from array import array
from collections.abc import Callable

import pytest

from metrics import Client
from metrics.accuracy import RELATIVE_ERROR
from metrics.buckets import value_of
from metrics.client.batch import BUCKETS_MAX, Load, loads_of
from metrics.client.buffer import Buffer
from metrics.client.fold import Fold
from metrics.client.folder import Folder
from metrics.client.folds import BUCKET_BYTES, FOLD_BUCKETS, Folded, Folds
from metrics.client.losses import NAMES_MAX, Losses
from metrics.client_aggregate import AGGREGATE_BUCKETS_MAX, AGGREGATE_COUNT_MAX, ClientAggregate
from ops.local.waiting import wait_until
from tests.support.clients import client_of, record
from tests.support.fake_collector import FakeCollector, refusing, taken

NOON = 1_795_442_400.0
HOUR = int(NOON) // 3600


def buffer_of(values_max: int = 100_000, **options: Callable[[], bool]) -> Buffer:
    """Return a buffer of which nobody takes but the test."""
    return Buffer(
        values_max=values_max, batch_size=10, now=lambda: NOON, call=lambda: None, **options
    )


def test_a_full_buffer_folds_and_nothing_is_lost(fake: FakeCollector) -> None:
    """While collectors are away, count, sum, min and max stay exact, percentiles within 1 %."""
    fake.answer = refusing(503, stored="no")
    with client_of(fake, max_buffered=100) as client:
        record(client, 5000)
        record(client, 50, key="b")
        wait_until(lambda: len(fake.requests) >= 2, 60, "it tries")

        assert (client.stats.dropped, client.stats.buffered) == (0, 5050)

        fake.answer = taken
        wait_until(lambda: client.stats.sent == 5050, 60, "the collector is back")

    aggregates = [ClientAggregate.parse(each) for each in fake.aggregates("a")]
    raw = fake.values("a")
    assert (fake.count("a"), fake.count("b"), fake.dropped("a")) == (5000, 50, 0)
    assert sum(each.sum for each in aggregates) + sum(raw) == sum(range(1, 5001))
    assert min([*raw, *(each.min for each in aggregates)]) == 1
    assert max([*raw, *(each.max for each in aggregates)]) == 5000
    found = [value_of(b) for each in aggregates for b, n in each.buckets.items() for _ in range(n)]
    for estimate, true in zip(sorted([*found, *raw]), range(1, 5001), strict=True):
        assert abs(estimate - true) <= RELATIVE_ERROR * true


def test_a_client_may_always_send_aggregates(fake: FakeCollector) -> None:
    """With aggregate=True a request has one item a key, whatever the number of values."""
    with client_of(fake, aggregate=True, flush_seconds=60) as client:
        record(client, 3000)
        record(client, 10, key="b")
        assert client.flush(60)
        record(client, 3)
        assert client.close(60)

        assert [len(request.items) for request in fake.requests] == [2, 1]
        assert (fake.count("a"), fake.count("b"), fake.values("a")) == (3003, 10, [])
        assert (client.stats.sent, client.stats.buffered) == (3013, 0)


def test_folds_that_a_collector_never_takes_are_reported(fake: FakeCollector) -> None:
    """Folds that are given up are losses of their key and hour, as values are."""
    fake.answer = refusing(503)
    options = {"repeat_seconds": 1.5, "answer_seconds": 0.5, "connect_seconds": 0.5}
    with client_of(fake, aggregate=True, **options) as client:
        record(client, 30)
        wait_until(lambda: client.stats.dropped == 30, 60, "it is given up")
        fake.answer = taken
        wait_until(lambda: fake.dropped("a") == 30, 60, "the loss is reported")


def test_ever_new_keys_take_no_more_than_there_is_room_for() -> None:
    """Keys that never come again are dropped beyond the bound, and known ones go on."""
    folds = Folds(buckets_max=100 * (FOLD_BUCKETS + 1), other_key="own")
    for number in range(2 * NAMES_MAX + 100):
        folds.add(f"key-{number}", HOUR, [1.0])
    folds.add("key-7", HOUR, [1.0] * 10)

    assert (folds.count, folds.dropped) == (110, 2 * NAMES_MAX)
    losses = folds.losses.take()
    assert sum(losses.values()) == 2 * NAMES_MAX
    assert (len(losses), losses["own", HOUR]) == (NAMES_MAX + 1, NAMES_MAX)

    folded = list(folds.take())
    folds.add("new", HOUR, [1.0])
    assert folds.dropped == 2 * NAMES_MAX + 1
    folds.release(folded)
    folds.add("new", HOUR, [1.0])
    assert (folds.count, folds.dropped) == (1, 2 * NAMES_MAX + 1)


def test_a_bucket_takes_so_many_bytes_at_most() -> None:
    """What folds take is bounded by the buckets that there is room for, few a key or many."""
    for keys, buckets in ((300, 1), (1, 300)):
        values = [[1.02 ** (bucket + 0.5)] * 257 for bucket in range(buckets)]
        gc.collect()
        tracemalloc.start()
        folds = Folds(buckets_max=10_000)
        for number in range(keys):
            key = f"{number:0128d}"
            for some in values:
                folds.add(key, HOUR, some)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert folds.dropped == 0
        assert used <= keys * (FOLD_BUCKETS + buckets) * BUCKET_BYTES


def test_the_memory_of_a_client_is_bounded_while_new_keys_come(fake: FakeCollector) -> None:
    """A client forgets a key that is delivered and idle, and is bounded while none is delivered."""
    fake.gate.clear()
    with client_of(fake, max_buffered=100, max_folded=900) as client:
        for number in range(3000):
            client.record(f"key-{number}", 1.0)
        wait_until(lambda: client.stats.dropped > 2000, 60, "there is no more room")
        stats = client.stats
        assert stats.buffered <= 200
        fake.gate.set()
        assert client.flush(60)
        stats = client.stats

        assert stats.recorded == stats.sent + stats.dropped == 3000
        assert not client._buffer._samples
        assert len(client._buffer._held) == 0
        reported = sum(
            item["dropped"]
            for request in fake.counted.values()
            for item in request.items
            if "dropped" in item
        )
        assert reported == stats.dropped


def test_values_added_while_their_key_is_forgotten_are_kept() -> None:
    """An array that a thread is just adding to is held until that thread is done with it."""
    buffer = buffer_of()
    buffer.add("a", 1.0)
    in_hand = buffer._samples["a"]

    assert [(key, list(column)) for key, column in buffer.columns()] == [("a", [NOON, 1.0])]
    assert not buffer._samples
    in_hand.extend((NOON, 2.0))
    buffer.add("a", 3.0)

    assert buffer.waiting == 2
    assert [list(column) for _, column in buffer.columns()] == [[NOON, 2.0], [NOON, 3.0]]
    del in_hand
    assert list(buffer.columns()) == []
    assert not buffer._held


def test_what_is_not_taken_yet_can_be_folded() -> None:
    """While a batch is on its way, what waits behind it can be taken by the folder."""
    buffer = buffer_of()
    for number in range(25):
        buffer.add("a", float(number))
    batches = buffer.batches()
    first = next(batches)
    folds = Folds(buckets_max=1000)
    Folder(buffer, folds).fold()

    assert (len(first["a"]) // 2, folds.count) == (10, 15)
    assert list(batches) == []


def test_values_are_folded_by_hour() -> None:
    """Values of two hours are two folds, each with the time of its hour."""
    buffer = buffer_of()
    buffer._samples["a"] = array("d", [NOON - 1, 1.0, NOON, 2.0, NOON + 3599, 3.0])
    folder = Folder(buffer, Folds(buckets_max=1000))
    folder.fold()

    folded = folder.take()

    assert [(each.hour, each.fold.count) for each in folded] == [(HOUR - 1, 1), (HOUR, 2)]
    assert Load(folded=folded).hours == {("a", HOUR - 1): 1, ("a", HOUR): 2}


def test_a_fold_that_is_full_is_followed_by_another() -> None:
    """A key and hour with more buckets than an aggregate may have becomes several of them."""
    folds = Folds(buckets_max=10**6)
    for number in range(AGGREGATE_BUCKETS_MAX + 1):
        folds.add("a", HOUR, [1.02 ** (number + 0.5)])

    assert [len(each.fold.buckets) for each in folds.take()] == [AGGREGATE_BUCKETS_MAX, 1]


def test_folds_are_sent_in_parts_that_a_collector_takes() -> None:
    """A request has no more buckets and stands for no more messages than it may."""
    fold = Fold()
    for number in range(1000):
        fold.add([1.02 ** (number + 0.5)])
    many = [Folded(f"key-{number}", HOUR, fold) for number in range(45)]
    assert [len(load.folded) for load in loads_of(many)] == [BUCKETS_MAX // 1000] * 2 + [5]

    fold.count = AGGREGATE_COUNT_MAX // 2
    assert [len(load.folded) for load in loads_of(many[:5])] == [2, 2, 1]
    assert [len(half.folded) for half in Load(folded=many[:5]).halves()] == [2, 3]
    assert len(Load(folded=many[:1]).halves()) == 1


def test_an_app_waits_for_room_only_while_somebody_makes_some() -> None:
    """A full buffer drops at once if nobody folds; if somebody does, it lets them."""
    alone = buffer_of(values_max=2)
    for _ in range(3):
        alone.add("a", 1.0)
    assert alone.dropped == 1

    def make_room() -> bool:
        Folder(helped, Folds(buckets_max=100)).fold()
        return True

    helped = buffer_of(values_max=2, is_folding=make_room)
    for _ in range(3):
        helped.add("a", 1.0)
    assert (helped.dropped, helped.waiting) == (0, 1)


def test_losses_of_too_many_keys_are_those_of_one() -> None:
    """Losses take bounded memory: those of one key too many are put down to the client's own."""
    losses = Losses("own")
    losses.add({(f"key-{number}", HOUR): 2 for number in range(NAMES_MAX + 3)})

    found = losses.take()

    assert (len(found), found["own", HOUR]) == (NAMES_MAX + 1, 6)
    assert not losses


@pytest.mark.parametrize("options", [{"max_folded": -1}, {"max_folded": 0.5}, {"max_folded": 8}])
def test_what_is_no_bound_is_refused(fake: FakeCollector, options: dict[str, float]) -> None:
    """max_folded is a whole number from 0 up, and has room for something with aggregate=True."""
    with pytest.raises(ValueError, match="max_folded must be"):
        Client(fake.url, environ={}, aggregate=True, **options)  # type: ignore[arg-type]
