"""The plots of incidents: depth and age of what waits, over time, as an SVG.

Written without a plotting library, as ``ops.lab.bench.ingest.plot`` is: the same incident gives the
same bytes, and on a dark page the colours are lighter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ops.lab.scale.incidents import Incident
from ops.lab.scale.queueing import Moment

_WIDTH, _HEIGHT = 880, 470
_LEFT, _RIGHT = 84, 640
_PANELS = ((62, 230), (272, 420))
"""Top and bottom of each panel."""

_POINTS = 400
_TICKS = 4

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #ddd } .cause { fill: #f3e3d3 }
.line { fill: none; stroke-width: 2.2 }
.s0 { --c: #c2410c } .s1 { --c: #1d4ed8; stroke-dasharray: 7 4 }
.line { stroke: var(--c) } .name { fill: var(--c); font-weight: 600; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .grid { stroke: #444 } .cause { fill: #4a3a2c }
  .s0 { --c: #fb923c } .s1 { --c: #93b4ff }
}"""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One pair of axes, and what is drawn between them."""

    label: str
    lines: Sequence[tuple[str, Callable[[Moment], float]]]


_SHOWN = (
    _Panel(
        "messages",
        [("backlog", lambda at: at.backlog), ("in clients", lambda at: at.waiting)],
    ),
    _Panel(
        "age of the oldest, s",
        [("backlog", lambda at: at.backlog_age_s), ("in clients", lambda at: at.waiting_age_s)],
    ),
)


def svg(incident: Incident) -> str:
    """Return the plot of an incident; while its cause lasts, the ground is darker."""
    title = f"Simulated: {incident.title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="28">{escape(title)}</text>',
    ]
    for panel, (top, bottom) in zip(_SHOWN, _PANELS, strict=True):
        parts += _drawn(panel, incident, top, bottom)
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">seconds</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(panel: _Panel, incident: Incident, top: float, bottom: float) -> list[str]:
    moments = incident.moments[:: max(1, len(incident.moments) // _POINTS)]
    most = max(max(map(figure, moments)) for _, figure in panel.lines)
    ceiling, end_s = round_up(most), incident.moments[-1].at_s

    def x(at_s: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(at_s, end_s) / end_s

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / ceiling

    begin, end = x(incident.begin_s), x(incident.end_s)
    found = [f'<path class="cause" d="M{begin:.1f} {top}H{end:.1f}V{bottom}H{begin:.1f}Z"/>']
    found.append(f'<text x="{_LEFT}" y="{top - 8}">{panel.label}</text>')
    for tick in range(_TICKS + 1):
        value, at_s = ceiling * tick / _TICKS, end_s * tick / _TICKS
        found.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_RIGHT}"/>')
        found.append(
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{shown(value)}</text>'
        )
        found.append(
            f'<text x="{x(at_s):.1f}" y="{bottom + 18}" text-anchor="middle">{at_s:.0f}</text>'
        )
    for number, (name, figure) in enumerate(panel.lines):
        path = "L".join(f"{x(each.at_s):.1f} {y(figure(each)):.1f}" for each in moments)
        found.append(f'<g class="s{number}"><path class="line" d="M{path}"/>')
        found.append(
            f'<text class="name" x="{_RIGHT + 12}" y="{top + 16 + 20 * number}">{name}: at most '
            f"{shown(max(map(figure, moments)))}</text></g>"
        )
    return found


def round_up(figure: float) -> float:
    """Return the next number above that axes end with: 1, 2, 4 or 8 and zeros."""
    if figure <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(figure))
    return next((n * power for n in (1, 2, 4, 8) if n * power >= figure), 10 * power)


def shown(figure: float) -> str:
    """Return a number as people read it, ``1.2 M``."""
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if figure >= factor:
            return f"{figure / factor:.3g}{unit}"
    return f"{figure:.3g}"
