"""A batch of the client is encoded once, in a form that a collector reads."""

import gzip
import json
from array import array

from hypothesis import given
from hypothesis import strategies as st

from metrics.client.batch import CHUNK_VALUES, GZIP_BYTES_MIN, Batch, Load, encode
from metrics.client.losses import Hours

NOON = 1_795_442_400


def sealed(samples: dict[str, list[tuple[float, float]]], drops: Hours | None = None) -> Batch:
    """Return a batch of columns that are given as pairs of timestamp and value."""
    arrays = {
        key: array("d", [number for pair in pairs for number in pair])
        for key, pairs in samples.items()
    }
    return encode(Load(arrays), drops or {}, "key-1", yield_gil=lambda: None)


def test_values_of_one_key_are_one_column() -> None:
    """Values of one key are one column, with the second of each value beside it."""
    batch = sealed({"a": [(NOON + 0.999, 12.5), (NOON + 3599.999, 7.0)]})

    assert json.loads(batch.body) == {
        "key": "a",
        "values": [12.5, 7.0],
        "timestamps": [NOON, NOON + 3599],
    }
    assert (batch.values, batch.is_gzip, batch.idempotency_key) == (2, False, "key-1")


def test_several_keys_and_losses_are_an_array() -> None:
    """A body of several columns and a loss report is a JSON array, a key's losses by hour."""
    hour = NOON // 3600
    batch = sealed({"a": [(NOON, 1.0)], "b": [(NOON, 2.0)]}, {("a", hour): 3})

    assert json.loads(batch.body) == [
        {"key": "a", "values": [1.0], "timestamps": [NOON]},
        {"key": "b", "values": [2.0], "timestamps": [NOON]},
        {"key": "a", "dropped": 3, "timestamp": hour * 3600},
    ]
    assert batch.values == 2


def test_losses_may_be_all_there_is() -> None:
    """A loss report can be sent without any values."""
    batch = sealed({}, {("a", NOON // 3600): 3})

    assert json.loads(batch.body) == {"key": "a", "dropped": 3, "timestamp": NOON // 3600 * 3600}
    assert batch.values == 0


@given(st.lists(st.floats(0, 1.7e308), min_size=1, max_size=3 * CHUNK_VALUES))
def test_every_value_is_read_back_as_it_was(values: list[float]) -> None:
    """A batch of any number of values is read back with exactly the same numbers."""
    batch = sealed({"a": [(NOON, value) for value in values]})
    body = gzip.decompress(batch.body) if batch.is_gzip else batch.body

    assert json.loads(body)["values"] == values
    assert len(json.loads(body)["timestamps"]) == len(values)


def test_long_bodies_are_compressed() -> None:
    """A body longer than GZIP_BYTES_MIN is compressed, here to less than half."""
    batch = sealed({"a": [(NOON, 100.0 + value / 7) for value in range(1000)]})
    plain = gzip.decompress(batch.body)

    assert batch.is_gzip
    assert len(plain) > GZIP_BYTES_MIN
    assert len(batch.body) < len(plain) / 2


def test_others_may_run_while_a_long_body_is_written() -> None:
    """The encoder yields to other threads after every CHUNK_VALUES values."""
    breaths: list[int] = []
    load = Load({"a": array("d", [NOON, 1.0] * 2000)})
    encode(load, {}, "key-1", yield_gil=lambda: breaths.append(1))

    assert len(breaths) == 2000 // CHUNK_VALUES
