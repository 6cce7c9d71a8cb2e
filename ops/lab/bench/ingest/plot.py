"""The plot: throughput against messages per request, as an SVG, without a plotting library.

Both axes are logarithmic. Each system has a colour, a mark and its name beside its line, so that
none of them alone must tell it; on a dark page the colours are lighter.
"""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

Throughputs = Mapping[str, Mapping[int, float]]
"""System -> messages per request -> messages/s."""

_WIDTH, _HEIGHT = 800, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 600, 48, 380
"""Of the area between the axes; names of systems stand to the right of it."""

_LABEL_HEIGHT = 18

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-size: 16px; font-weight: 600 }
.caption { font-size: 12px; fill: #666 }
.grid { stroke: #ddd }
.line { fill: none; stroke-width: 2.5 }
.s0 { --c: #c2410c } .s1 { --c: #1d4ed8 } .s2 { --c: #15803d }
.line { stroke: var(--c) } .mark, .name { fill: var(--c) } .name { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .caption { fill: #aaa } .grid { stroke: #444 }
  .s0 { --c: #fb923c } .s1 { --c: #93b4ff } .s2 { --c: #6ee7a0 }
}"""


def svg(throughputs: Throughputs, title: str, caption: str) -> str:
    """Return the plot.

    Args:
        throughputs: What to show, of up to three systems; the first is the most striking.
        title: Stands above it.
        caption: Stands below it.
    """
    scale = _Scale.around(throughputs)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="26">{escape(title)}</text>',
        *scale.grid(),
        *_lines(throughputs, scale),
        f'<text class="caption" x="{_LEFT}" y="{_HEIGHT - 16}">{escape(caption)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """Where figures lie on the axes, which begin and end at powers of ten."""

    def __init__(self, batches: range, rates: range) -> None:
        self._batches = batches
        self._rates = rates

    @classmethod
    def around(cls, throughputs: Throughputs) -> "_Scale":
        """Return the scale with room for all figures."""
        batches = {batch for figures in throughputs.values() for batch in figures}
        rates = {rate for figures in throughputs.values() for rate in figures.values()}
        return cls(_decades(min(batches), max(batches)), _decades(min(rates), max(rates)))

    def x(self, batch: float) -> float:
        """Return where so many messages per request lie."""
        return _LEFT + (_RIGHT - _LEFT) * _share(batch, self._batches)

    def y(self, rate: float) -> float:
        """Return where so many messages per second lie."""
        return _BOTTOM - (_BOTTOM - _TOP) * _share(rate, self._rates)

    def grid(self) -> list[str]:
        """Return a line and a number for each power of ten, and what the axes are of."""
        found = []
        for power in self._batches:
            x = self.x(10**power)
            found.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>')
            found.append(
                f'<text x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="middle">{10**power:,}</text>'
            )
        for power in self._rates:
            y = self.y(10**power)
            found.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
            number = _short(10**power)
            found.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number}</text>')
        middle = (_TOP + _BOTTOM) / 2
        found.append(
            f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 42}" text-anchor="middle">'
            "messages per request</text>"
        )
        found.append(
            f'<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">'
            "messages per second</text>"
        )
        return found


def _lines(throughputs: Throughputs, scale: _Scale) -> list[str]:
    found = []
    labels = _label_heights({name: scale.y(_last(each)) for name, each in throughputs.items()})
    for number, (name, figures) in enumerate(throughputs.items()):
        points = [(scale.x(batch), scale.y(rate)) for batch, rate in sorted(figures.items())]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        found.append(f'<g class="s{number}"><path class="line" d="{path}"/>')
        for (x, y), (batch, rate) in zip(points, sorted(figures.items()), strict=True):
            told = f"{name}: {rate:,.0f} messages/s, {batch:,} per request"
            found.append(
                f'<path class="mark" d="{_mark(number, x, y)}"><title>{escape(told)}</title></path>'
            )
        found.append(
            f'<text class="name" x="{points[-1][0] + 14:.1f}" y="{labels[name] + 4:.1f}">'
            f"{escape(name)} {_short(_last(figures))}/s</text></g>"
        )
    return found


def _label_heights(wanted: Mapping[str, float]) -> dict[str, float]:
    """Return heights for names that are near those wanted, and not on top of each other."""
    found: dict[str, float] = {}
    above = -math.inf
    for name, y in sorted(wanted.items(), key=lambda each: each[1]):
        above = found[name] = max(y, above + _LABEL_HEIGHT)
    return found


def _last(figures: Mapping[int, float]) -> float:
    return figures[max(figures)]


def _mark(number: int, x: float, y: float) -> str:
    """Return the outline of a mark: a disc, a square, a triangle."""
    if number == 0:
        return f"M{x - 5:.1f} {y:.1f}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
    if number == 1:
        return f"M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9z"
    return f"M{x:.1f} {y - 6:.1f}l5.5 10h-11z"


def _decades(least: float, most: float) -> range:
    """Return the powers of ten from the one below to the one above."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return range(first, max(last, first + 1) + 1)


def _share(figure: float, powers: range) -> float:
    return (math.log10(figure) - powers[0]) / (powers[-1] - powers[0])


def _short(figure: float) -> str:
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if figure >= factor:
            return f"{figure / factor:.3g} {unit}"
    return f"{figure:.3g}"
