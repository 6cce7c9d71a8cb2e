"""What people see: numbers, sparklines and tables."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from metrics.cli import screen


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0"), (123.4, "123.4"), (98.0, "98"), (0.0012, "0.001"), (0.00012, "0.00012")),
        *((1234567.25, "1234567.25"), (1e300, "1e+300"), (99.9996, "100")),
    ],
)
def test_a_number_is_shown_short(value: float, shown: str) -> None:
    """A number has three decimals at most, and no needless zeros."""
    assert screen.number(value) == shown


@given(st.lists(st.none() | st.floats(0, 1e300), max_size=30))
def test_a_sparkline_has_a_block_for_each_value(values: list[float | None]) -> None:
    """A sparkline is as long as its values, blank where there is none, and rises with them."""
    line = screen.sparkline(values)

    assert len(line) == len(values)
    assert [block == " " for block in line] == [value is None for value in values]
    there = sorted((v, b) for v, b in zip(values, line, strict=True) if v is not None)
    assert [block for _, block in there] == sorted(block for _, block in there)


def test_a_sparkline_begins_at_0() -> None:
    """The highest value is a full block, half of it half a block."""
    assert screen.sparkline([0.0, 4.0, None, 8.0]) == "▁▅ █"


def test_what_others_wrote_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in a cell are shown as they are, and a long cell is not cut off."""
    screen.console().print(screen.table(["key"], [("[red]" + "x" * 200,)]))

    assert "[red]" + "x" * 200 in capsys.readouterr().out


def test_a_narrow_terminal_folds_a_long_key() -> None:
    """On a terminal a long key is folded, so that all of it can be read."""
    console = Console(width=40, record=True)
    console.print(screen.table(["key", "n"], [("checkout." + "x" * 100, 1)]))

    assert console.export_text().count("x") == 100


def test_a_number_that_is_cut_off_says_so() -> None:
    """Where there is no room for a number, what is left of it does not look like another one."""
    console = Console(width=8, record=True)
    console.print(screen.table(["n", "count"], [(1234567, 1234567)]))

    assert not re.search(r"\d(?!\d|…)", console.export_text().splitlines()[1])
