"""Plots as SVG: on a transparent ground, in grey that reads on white and on black."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

COLOURS = ("#ea580c", "#3b82f6", "#16a34a")
MARKS = ("o", "s", "^")
"""Of the first line, the second and the third: colour is not all that tells them apart."""

shown = EngFormatter(sep=" ")
"""Writes a number with its thousands or millions, ``1.2 M``."""

_GREY = "#808080"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metrics",  # the same figures give the same bytes
    "font.size": 10,
    "axes.grid": True,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _GREY
    ),
}


@contextmanager
def drawing(path: Path, title: str, *, width: float = 8.0, height: float = 4.7) -> Iterator[Figure]:
    """Give a figure to draw on, and write it into a file afterwards.

    Args:
        path: Of the file.
        title: Stands above the figure.
        width: In inches.
        height: In inches.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title)
        yield figure
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
