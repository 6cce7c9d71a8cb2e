"""An answer drawn as SVG, for a README or a wiki: bars, or the lines of a summary."""

from collections.abc import Iterator, Sequence
from html import escape

from api.query.formats.table import Table, number_of, short
from metrics.errors import InvalidQueryError

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 34, 26
_LINES = ("median", "p90", "p99")
_LABELS_MAX = 12

# Colours that differ without red and green, on a light and on a dark page.
_STYLE = """
text { font: 11px system-ui, sans-serif; fill: #444 }
.title { font-size: 13px; fill: #111 }
.grid { stroke: #ddd }
.bar, .key { fill: #2b6cb0 } .open { fill: #90b4d8 }
.median { stroke: #2b6cb0; fill: #2b6cb0 } .p90 { stroke: #8a5fbf; fill: #8a5fbf }
.p99 { stroke: #c05621; fill: #c05621 } text.median, text.p90, text.p99 { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #bbb } .title { fill: #eee } .grid { stroke: #444 }
  .bar, .key { fill: #63a4e8 } .open { fill: #38577a }
  .median { stroke: #63a4e8; fill: #63a4e8 } .p90 { stroke: #b794f4; fill: #b794f4 }
  .p99 { stroke: #f0a060; fill: #f0a060 }
}
polyline.median, polyline.p90, polyline.p99 { fill: none; stroke-width: 1.8 }
""".replace("\n", " ")


def draw(table: Table) -> str:
    """Return the drawing of a day or a range.

    Raises:
        InvalidQueryError: If it is of histograms.
    """
    if table.has_buckets:
        raise InvalidQueryError("a histogram is not drawn as svg: ask for summary, or for a number")
    names = _LINES if len(table.names) > 1 else ("value",)
    series = {name: [number_of(row, name) for row in table.hours] for name in names}
    values = [value for each in series.values() for value in each if value is not None]
    top = _round_up(max(values, default=0.0))
    title = escape(table.title)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{title}</title><style>{_STYLE}</style>",
            f'<text class="title" x="{_LEFT}" y="18">{title}</text>',
            *_grid(top),
            *_labels(table),
            *(_bars(table, series["value"], top) if "value" in series else _lines(series, top)),
            "</svg>\n",
        ]
    )


def _round_up(value: float) -> float:
    """Return a round number that is no smaller."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(f"{int(value)}") - 1 if value >= 1 else int(f"{value:e}".split("e")[1]))
    return next(
        (step * power for step in (1, 1.5, 2, 3, 4, 5, 8) if step * power >= value), 10 * power
    )


def _y(value: float, top: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value / top)


def _step(hours: int) -> float:
    return (WIDTH - _LEFT - _RIGHT) / hours


def _grid(top: float) -> Iterator[str]:
    for part in (0, 0.5, 1):
        y = _y(top * part, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(top * part)}</text>'


def _labels(table: Table) -> Iterator[str]:
    is_day = table.labels[0][0] == table.labels[-1][0]
    step = _step(len(table.labels))
    at = [
        (index, f"{hour:02}" if is_day else date[5:])
        for index, (date, hour) in enumerate(table.labels)
        if (hour % 3 == 0 if is_day else hour == 0)
    ]
    for index, text in at[:: -(-len(at) // _LABELS_MAX)]:
        yield f'<text x="{_LEFT + index * step:.1f}" y="{HEIGHT - 8}">{text}</text>'


def _bars(table: Table, values: Sequence[float | None], top: float) -> Iterator[str]:
    step = _step(len(values))
    for index, (value, row) in enumerate(zip(values, table.hours, strict=True)):
        if value is not None:
            kind = "bar" if row and row.get("complete") else "open"
            y = _y(value, top)
            yield (
                f'<rect class="{kind}" x="{_LEFT + index * step:.1f}" y="{y:.1f}" '
                f'width="{step * 0.82:.1f}" height="{_y(0, top) - y:.1f}"/>'
            )


def _lines(series: dict[str, list[float | None]], top: float) -> Iterator[str]:
    for number, (name, values) in enumerate(series.items()):
        step = _step(len(values))
        x = WIDTH - _RIGHT - 60 * (len(series) - 1 - number)
        yield f'<text class="{name}" x="{x}" y="18" text-anchor="end">{name}</text>'
        for start, piece in _pieces(values):
            points = " ".join(
                f"{_LEFT + (start + i + 0.5) * step:.1f},{_y(value, top):.1f}"
                for i, value in enumerate(piece)
            )
            yield (
                f'<polyline class="{name}" points="{points}"/>'
                if len(piece) > 1
                else f'<circle class="{name}" cx="{points.split(",")[0]}" '
                f'cy="{points.split(",")[1]}" r="2.5"/>'
            )


def _pieces(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    """Yield runs of hours that have messages, each with the place of its first."""
    piece: list[float] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            piece.append(value)
        elif piece:
            yield index - len(piece), piece
            piece = []
