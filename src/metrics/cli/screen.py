"""What commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 1000
"""Lines are as long as they need be: a terminal wraps them, and nothing is cut off."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN_MAX = 1e15


def console(width: int | None = WIDE) -> Console:
    """Return the way to standard output. What is printed may come from others: it is no markup.

    Args:
        width: Of a line; None for that of the terminal.
    """
    return Console(width=width, markup=False, highlight=False, emoji=False)


def json_line(value: object) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table; what is a number stands at the right, and nothing is ``-``.

    Args:
        columns: Their names; without any, there is no line of them.
        rows: A value for each column.
    """
    made = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for i, name in enumerate(columns):
        is_text = any(isinstance(row[i], str) for row in rows)
        if is_text:
            made.add_column(name, overflow="fold")
        else:
            # A number that is cut off must not look like another one.
            made.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
    for row in rows:
        made.add_row(*(Text(cell(value)) for value in row))
    return made


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return str(value)


def number(value: float) -> str:
    """Return a number with three decimals at most, and without needless zeros."""
    if value == 0 or 0.001 <= abs(value) < _PLAIN_MAX:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:.4g}"


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each value: a block as high as it, from 0 up; none, a space.

    Source:
        Tufte, "Beautiful Evidence", 2006: sparklines, word-sized graphics.
    """
    highest = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if value is None else _block(value, highest) for value in values)


def bar(value: float, highest: float, width: int) -> str:
    """Return a bar that is ``width`` characters long for the highest value."""
    return "█" * round(width * _share(value, highest))


def _block(value: float, highest: float) -> str:
    return _BLOCKS[min(int(_share(value, highest) * len(_BLOCKS)), len(_BLOCKS) - 1)]


def _share(value: float, highest: float) -> float:
    return value / highest if highest > 0 else 0.0
