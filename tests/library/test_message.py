"""A message has a key, a value, and possibly a timestamp and a sample rate."""

import math

import pytest

from metrics.errors import InvalidMessageError
from metrics.message import (
    AcceptedTimes,
    check_key,
    check_value,
    parse_value,
    parse_weight,
    shown,
)

NOW = 1795442400.0  # 2026-11-23T14:00:00Z
TIMES = AcceptedTimes.around(NOW, retention_days=30)


@pytest.mark.parametrize("key", ["a", "9", "checkout.web-1", "A_b:c.d-e", "x" * 128])
def test_a_key_is_made_of_letters_digits_and_four_marks(key: str) -> None:
    """A key is a letter or digit and up to 127 more letters, digits, dots, dashes, `_` or `:`."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "x" * 129, ".a", "-a", "a b", "a/b", "a*", "ä", "a{1}", "a\n", "a\x00", 5, None]
)
def test_what_is_no_key_is_refused(key: object) -> None:
    """What is no key raises an error that says what a key is and shows the input."""
    with pytest.raises(InvalidMessageError, match="key must be 1 to 128 characters") as caught:
        check_key(key)

    assert shown(key) in str(caught.value)


@pytest.mark.parametrize("value", [0, 0.0, 5e-324, 1, 123.4, 1.7976931348623157e308, 10**300])
def test_a_value_is_a_finite_number_from_0(value: float) -> None:
    """A value can be any finite number from 0."""
    assert check_value(value) == float(value)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (math.nan, "value must be finite, got nan"),
        (math.inf, "value must be finite, got inf"),
        (-math.inf, "value must be finite, got -inf"),
        (10**400, "value must be finite"),
        (-1, "value must be 0 or more, got -1"),
        (-5e-324, "value must be 0 or more"),
        (True, "value must be a number, got True"),
        ("5", "value must be a number, got '5'"),
        (None, "value must be a number, got None"),
        ([1], "value must be a number"),
    ],
)
def test_what_is_no_value_is_refused_and_told_why(value: object, rule: str) -> None:
    """What is no value raises an error that names the broken rule."""
    with pytest.raises(InvalidMessageError) as caught:
        check_value(value)

    assert str(caught.value).startswith(rule)


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5.0), ("123.4", 123.4), (".5", 0.5), ("1e3", 1000.0), ("+2", 2.0)]
)
def test_a_line_carries_a_decimal_number(text: str, value: float) -> None:
    """A line's value is a decimal number, as curl and StatsD clients write it."""
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["", "1_000", "٥", "0x10", "1,5", "five", "nan", "-inf", "1e999"])
def test_a_line_with_anything_else_is_refused(text: str) -> None:
    """A line's value that is no plain decimal number is refused, even if Python reads it."""
    with pytest.raises(InvalidMessageError, match="value must be"):
        parse_value(text)


@pytest.mark.parametrize(
    ("rate", "weight"), [("1", 1), ("0.1", 10), ("0.5", 2), ("0.3", 3), ("0.000001", 1_000_000)]
)
def test_a_sampled_message_stands_for_one_over_its_rate(rate: str, weight: int) -> None:
    """A sampled message stands for one over its rate messages, rounded to a whole number."""
    assert parse_weight(rate) == weight


@pytest.mark.parametrize("rate", ["0", "-1", "1.1", "", "x", "nan", "1e-9"])
def test_what_is_no_sample_rate_is_refused(rate: str) -> None:
    """A sample rate that is not 0.000001 to 1 is refused."""
    with pytest.raises(InvalidMessageError, match=r"sample rate must be 0\.000001 to 1"):
        parse_weight(rate)


@pytest.mark.parametrize(
    "timestamp",
    [
        NOW,
        int(NOW),
        "2026-11-23T14:00:00Z",
        "2026-11-23t14:00:00z",
        "2026-11-23T15:00:00+01:00",
        "2026-11-23T14:00:00.000000000Z",
        "2026-11-23 08:30:00-05:30",
    ],
)
def test_a_timestamp_is_unix_seconds_or_rfc_3339(timestamp: object) -> None:
    """A timestamp is Unix seconds, or RFC 3339 with an offset."""
    assert TIMES.check(timestamp) == NOW


@pytest.mark.parametrize(
    "timestamp",
    ["2026-11-23T14:00:00", "2026-11-23", "2026-W48-1T14:00:00Z", "now", "1795442400", True, {}],
)
def test_what_is_no_timestamp_is_refused(timestamp: object) -> None:
    """What is no timestamp is refused, also a local time without an offset."""
    with pytest.raises(InvalidMessageError, match="timestamp must be Unix seconds"):
        TIMES.check(timestamp)


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")],
)
def test_a_timestamp_in_another_unit_is_named(factor: int, unit: str) -> None:
    """A number that makes sense in another unit only is refused by the name of that unit."""
    for timestamp in (int(NOW) * factor, NOW * factor, 10**8 * factor, (10**11 - 1) * factor):
        with pytest.raises(InvalidMessageError) as refused:
            TIMES.check(timestamp)
        assert f"in Unix seconds; this is in {unit}, divide it by {factor}, " in str(refused.value)


def test_a_date_is_in_no_other_unit() -> None:
    """A date is what it says: its year alone puts it outside."""
    with pytest.raises(InvalidMessageError, match="timestamp must lie between"):
        TIMES.check("9999-01-01T00:00:00Z")


def test_timestamps_reach_from_the_retention_to_five_minutes_ahead() -> None:
    """A timestamp must be within the retention and at most five minutes ahead."""
    assert TIMES.check(NOW + 300) == NOW + 300
    assert TIMES.check(NOW - 30 * 86400) == NOW - 30 * 86400
    for timestamp in (NOW + 301, NOW - 30 * 86400 - 1, 1e8, 1e20, math.nan, 10**400, -math.inf):
        with pytest.raises(InvalidMessageError, match="timestamp must lie between"):
            TIMES.check(timestamp)
