"""Entries are written by collectors, and read by workers and by people."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metrics.aggregate import EMPTY, Aggregate
from metrics.entry import (
    COLUMNS_MAX,
    TEXT_LENGTH_MAX,
    Column,
    Entry,
    PendingEntry,
    is_column_text,
    messages_in,
    pack,
    read_key_hour,
    read_values,
    write_values,
)
from metrics.errors import EntryUnreadableError
from metrics.fold import Folded, fold
from metrics.hours import Hour

ANY_VALUE = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
KEY_HOUR = "2026-11-23T14:checkout.web-1"


def fields_of(entry: Entry) -> list[bytes]:
    """Return an entry as Redis gives it back."""
    return [text.encode() for column in entry.columns for text in (column.key_hour, column.text)]


def fold_fields(entries: Iterable[list[bytes]]) -> Folded:
    """Fold entries that were appended when all of their messages were on time."""
    return fold([PendingEntry(b"0-0", fields) for fields in entries], lateness_s=0)


def test_a_column_is_legible() -> None:
    """A column is written as comma-separated numbers, sampled ones with their weight."""
    assert write_values([123.4, 98.1]) == "123.4,98.1"
    assert write_values([123.4, 98.1], [1, 10]) == "123.4,98.1*10"


@given(st.lists(st.tuples(ANY_VALUE, st.integers(1, 1_000_000)), min_size=1))
def test_values_are_read_as_they_were_written(weighted: list[tuple[float, int]]) -> None:
    """Each value and weight of a column is read back as the same number."""
    values, weights = map(list, zip(*weighted, strict=True))

    assert read_values([write_values(values).encode()]) == (values, None)
    read, read_weights = read_values([write_values(values, weights).encode()])
    assert read == values
    assert read_weights == (weights if max(weights) > 1 else None)


@example([("a", [2.0**53, 1.0, 1.0])])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(ANY_VALUE, min_size=1, max_size=2000)),
        min_size=1,
        max_size=6,
    )
)
def test_packing_loses_nothing_and_bounds_each_entry(
    columns: list[tuple[str, list[float]]],
) -> None:
    """Packing joins the columns of a key-hour, bounds each entry's text and keeps each message."""
    entries = pack(
        Column(f"2026-11-23T14:{key}", write_values(values), len(values)) for key, values in columns
    )

    by_key: dict[bytes, list[float]] = {}
    for key, values in columns:
        by_key.setdefault(f"2026-11-23T14:{key}".encode(), []).extend(values)
    folded = fold_fields(fields_of(entry) for entry in entries)
    assert folded.messages == sum(len(values) for _, values in columns)
    assert folded.messages == sum(entry.messages for entry in entries)
    assert folded.aggregates.keys() == by_key.keys()
    for key, values in by_key.items():
        expected, found = Aggregate.of(values), folded.aggregates[key]
        # In which order values are added is not promised.
        assert found.sum == pytest.approx(expected.sum, rel=1e-12)
        assert replace(found, sum=expected.sum) == expected
    for entry in entries:
        assert sum(len(column.text) for column in entry.columns) <= TEXT_LENGTH_MAX


# Written by others: many digits are as good as few, and as many as a body may have.
NUMBERS = st.builds(
    lambda digits, length: digits + "0" * length,
    st.sampled_from(["1", "0.5", "12.25"]),
    st.integers(0, 3) | st.sampled_from([250, TEXT_LENGTH_MAX // 2, TEXT_LENGTH_MAX, 100_000]),
).map(lambda text: text if "." in text else text[:300])


@given(st.lists(st.lists(NUMBERS, min_size=1, max_size=50), min_size=1, max_size=4))
def test_a_column_that_others_have_written_is_cut_as_well(numbers: list[list[str]]) -> None:
    """A column's text from a sender is packed as it is, bounded, and keeps each message."""
    texts = [text for text in map(",".join, numbers) if is_column_text(text.encode())]
    values = [float(number) for text in texts for number in text.split(",")]

    entries = pack(Column(KEY_HOUR, text, text.count(",") + 1) for text in texts)

    folded = fold_fields(fields_of(entry) for entry in entries)
    assert folded.messages == sum(entry.messages for entry in entries) == len(values)
    assert folded.aggregates == ({KEY_HOUR.encode(): Aggregate.of(values)} if values else {})
    for entry in entries:
        assert sum(len(column.text) for column in entry.columns) <= TEXT_LENGTH_MAX


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (b"123.4,98", True),
        (b",".join([b"123.456"] * 10_000), True),
        (b"0." + b"1" * TEXT_LENGTH_MAX, False),
        (b"1," * TEXT_LENGTH_MAX + b"0." + b"1" * TEXT_LENGTH_MAX, False),
        (b"1, 2", False),
        (b"1e3", False),
        (b"-1", False),
        (b"1*2", False),
    ],
)
def test_only_plain_texts_are_taken_as_they_are(text: bytes, is_taken: bool) -> None:
    """Only a text of plain, short decimal numbers is taken as a column's text."""
    assert is_column_text(text) is is_taken


def test_an_entry_has_a_bounded_number_of_columns() -> None:
    """An entry has at most COLUMNS_MAX columns, and the rest is in the next one."""
    entries = pack(Column(f"2026-11-23T14:key-{i}", "1.0", 1) for i in range(COLUMNS_MAX + 1))

    assert [len(entry.columns) for entry in entries] == [COLUMNS_MAX, 1]


def test_what_was_dropped_is_a_column_of_its_own() -> None:
    """Dropped messages are summed for each key-hour as a column, and count as no message."""
    entries = pack(
        [
            Column.of_dropped(KEY_HOUR, 17),
            Column(KEY_HOUR, "1.0", 1),
            Column.of_dropped(KEY_HOUR, 3),
            Column(KEY_HOUR, "2.0", 1),
            Column.of_dropped("2026-11-23T13:b", 5),
        ]
    )

    (entry,) = entries
    assert [(column.key_hour, column.text) for column in entry.columns] == [
        (KEY_HOUR, "1.0,2.0"),
        (KEY_HOUR, "dropped=20"),
        ("2026-11-23T13:b", "dropped=5"),
    ]
    assert entry.messages == messages_in(fields_of(entry)) == 2


def test_what_was_dropped_is_folded_beside_the_aggregates() -> None:
    """A key-hour is folded with its messages, its dropped ones, or both."""
    folded = fold_fields(
        [
            [b"2026-11-23T14:a", b"dropped=17", b"2026-11-23T14:b", b"1.0"],
            [b"2026-11-23T14:a", b"dropped=3", b"2026-11-23T14:a", b"2.0"],
            [b"2026-11-23T14:c", b"dropped=1"],
        ]
    )

    assert folded.aggregates == {
        b"2026-11-23T14:a": replace(Aggregate.of([2.0]), dropped=20),
        b"2026-11-23T14:b": Aggregate.of([1.0]),
        b"2026-11-23T14:c": replace(EMPTY, dropped=1),
    }
    assert folded.messages == 2


@pytest.mark.parametrize(
    "text", [b"dropped=", b"dropped=0", b"dropped=-1", b"dropped=1.0", b"dropped=1,dropped=2"]
)
def test_another_number_of_dropped_messages_is_unreadable(text: bytes) -> None:
    """A column whose number of dropped messages is wrong is unreadable, and no message."""
    with pytest.raises(EntryUnreadableError, match="no number of dropped messages"):
        fold_fields([[KEY_HOUR.encode(), text]])

    assert messages_in([KEY_HOUR.encode(), text]) == 0


def test_a_field_names_a_key_and_its_hour() -> None:
    """A field names an hour and a key, which can have colons."""
    assert read_key_hour(b"2026-11-23T14:a:b") == ("a:b", Hour.parse("2026-11-23T14"))


@pytest.mark.parametrize(
    "field", [b"", b"key", b"2026-11-23T14", b"2026-11-23T14:", b"2026-11-23T25:a", b"\xff:a"]
)
def test_another_field_is_unreadable(field: bytes) -> None:
    """A field that is not hour:key makes its entry unreadable."""
    with pytest.raises(EntryUnreadableError, match="a field is not hour:key"):
        fold_fields([[field, b"1.0"]])
    with pytest.raises(EntryUnreadableError, match="a field is not hour:key"):
        fold_fields([[field, b"dropped=1"]])


UNREADABLE = [
    *(b"", b"x", b"1,,2", b"1,", b"-1", b"1,nan", b"1e999", b"true", b"1],[2", b"\xff"),
    *(b"1*0", b"1*x", b"1*-1", b"*2", b"1*1.5", b"1*9999999999", b"1*2*3"),
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_other_values_are_unreadable(text: bytes) -> None:
    """A column of values that no collector accepts makes its entry unreadable."""
    with pytest.raises(EntryUnreadableError, match=r"values are|a sampled value"):
        fold_fields([[KEY_HOUR.encode(), text]])


@pytest.mark.parametrize(
    ("after_end_s", "late"),
    [(-1.0, 0), (0.0, 0), (9.999, 0), (10.0, 3), (3_600.0, 3), (1e9, 3)],
)
def test_a_message_is_late_if_it_is_appended_after_its_hour_and_the_lateness(
    after_end_s: float, late: int
) -> None:
    """Messages are late once their hour is over by the allowed lateness when they are appended."""
    appended_ms = int((Hour.parse("2026-11-23T14").end + after_end_s) * 1000)
    entry = PendingEntry(b"%d-7" % appended_ms, [KEY_HOUR.encode(), b"1.0,2.0,3.0"])

    folded = fold([entry], lateness_s=10)

    assert folded.aggregates == {
        KEY_HOUR.encode(): replace(Aggregate.of([1.0, 2.0, 3.0]), late=late)
    }


def test_late_messages_are_counted_beside_those_on_time() -> None:
    """Of a key-hour the late messages are counted, each as often as it stands for."""
    hour = Hour.parse("2026-11-23T14")
    field = KEY_HOUR.encode()
    entries = [
        PendingEntry(b"%d-1" % (hour.start * 1000), [field, b"1.0,2.0*4"]),
        PendingEntry(b"%d-1" % (hour.end * 1000 + 10_000), [field, b"3.0,4.0*10"]),
        PendingEntry(b"%d-2" % (hour.end * 1000 + 10_000), [field, b"dropped=2", field, b"5.0"]),
    ]

    folded = fold(entries, lateness_s=10)

    whole = Aggregate.of([1.0, 2.0, 3.0, 4.0, 5.0], [1, 4, 1, 10, 1])
    assert folded.aggregates[field] == replace(whole, late=12, dropped=2)
    assert folded.messages == 5


def test_an_entry_with_an_id_of_no_time_is_folded() -> None:
    """An entry that somebody else appended under the largest id there is can be folded."""
    entry = PendingEntry(b"18446744073709551615-18446744073709551615", [KEY_HOUR.encode(), b"1"])

    assert fold([entry], lateness_s=10).aggregates[KEY_HOUR.encode()].late == 1
