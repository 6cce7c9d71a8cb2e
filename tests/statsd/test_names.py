"""The name in a line becomes a key, or none."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metrics.message import is_key
from metrics.statsd.names import NAME_LENGTH_MAX, STARS_MAX, Mapping, Names
from tests.conftest import assert_within, seconds_of

PLACES = ("$1", "$2", "$3")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("checkout.web-1", "checkout.web-1"),
        ("a:b", "a:b"),
        ("foo bar\tbaz", "foo_bar_baz"),
        ("GET /cart/42", "GET_-cart-42"),
        ("größe", "gre"),
        ("_private", "private"),
        ("...", None),
        ("", None),
        ("a" * 129, None),
        (" " * 600 + "a", None),
    ],
)
def test_a_name_that_is_no_key_is_cleaned_as_statsd_does(name: str, key: str | None) -> None:
    """Blanks become _, slashes -, all else goes; what is no key even then has none."""
    names = Names()

    assert names.key_of(name) == key
    assert names.key_of(name) == key
    assert names.cleaned == (key not in {None, name})


@settings(max_examples=50)
@given(st.text("aZ9 ._:-/é\n$*", max_size=150))
def test_whatever_the_name_the_key_is_one(name: str) -> None:
    """Any name has a key that a collector takes, or none."""
    key = Names(prefix="web-1.").key_of(name)

    assert key is None or is_key(key)


def test_a_prefix_stands_in_front_of_each_key() -> None:
    """The prefix is there with mapped names as with others."""
    names = Names(prefix="checkout.", mappings=[Mapping.parse("a=web-1")])

    assert (names.key_of("a"), names.key_of("b")) == ("checkout.web-1", "checkout.b")


def test_the_first_mapping_that_matches_counts() -> None:
    """A mapping is of a whole name; a * in it is any text, $1 what the first one stands for."""
    rules = ["gunicorn.request.duration=all", "*.request.*=$1:$2", "a.b=x", "a.*=y"]
    names = Names(mappings=[Mapping.parse(rule) for rule in rules])

    assert names.key_of("gunicorn.request.duration") == "all"
    assert names.key_of("web-1.request.duration") == "web-1:duration"
    assert [names.key_of(name) for name in ("a.b", "a.bb", "aab", "xa.b")] == [
        "x",
        "y",
        "aab",
        "xa.b",
    ]


@given(st.text("ab*", max_size=6), st.text("ab", max_size=12))
def test_a_star_takes_as_much_as_it_can(pattern: str, name: str) -> None:
    """A * stands for one character or more, the first for as many as there can be."""
    assume(pattern.count("*") <= STARS_MAX and pattern)
    stars = pattern.count("*")
    expected = re.fullmatch(pattern.replace("*", "(.+)"), name)

    found = Mapping.parse(f"{pattern}={'-'.join(['k', *PLACES[:stars]])}").key_of(name)

    assert found == (None if expected is None else "-".join(["k", *expected.groups()]))


@pytest.mark.parametrize(("rule", "piece"), [("a*a*a*b=x", "a"), ("*.*.*.b=x", ".")])
def test_no_name_takes_long_to_match(rule: str, piece: str) -> None:
    """A name that nearly matches in very many ways is looked at in a few milliseconds."""
    mapping = Mapping.parse(rule)

    assert_within(0.05, lambda: seconds_of(lambda: mapping.key_of(piece * NAME_LENGTH_MAX)))


@pytest.mark.parametrize("rule", ["", "a", "=a", "a=", "a=$1", "*=$2", "****=a"])
def test_a_mapping_that_is_none_is_refused(rule: str) -> None:
    """A rule without a name, a key or the * that its key asks for is refused by name."""
    with pytest.raises(ValueError, match=r"a mapping is NAME=KEY|has a \$ for which"):
        Mapping.parse(rule)


def test_a_prefix_that_begins_no_key_is_refused() -> None:
    """A prefix that no key may begin with is refused at once, not line by line."""
    with pytest.raises(ValueError, match="a prefix is the beginning of a key"):
        Names(prefix=".a")


def test_no_more_names_are_known_than_there_is_room_for() -> None:
    """With as many names as may be known, later ones have no key; known ones keep theirs."""
    names = Names(names_max=2)

    assert [names.key_of(name) for name in "abca"] == ["a", "b", None, "a"]
    assert names.is_full
