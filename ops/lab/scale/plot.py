"""The plots of incidents: depth and age of what waits, over time."""

from collections.abc import Callable
from pathlib import Path

from ops.lab.plot import COLOURS, drawing, shown
from ops.lab.scale.incidents import Incident
from ops.lab.scale.queueing import Moment

_POINTS = 200
_PANELS: dict[str, tuple[Callable[[Moment], float], Callable[[Moment], float]]] = {
    "messages": (lambda at: at.backlog, lambda at: at.waiting),
    "age of the oldest, s": (lambda at: at.backlog_age_s, lambda at: at.waiting_age_s),
}
_LINES = ("backlog", "in clients")


def plot(incident: Incident, path: Path) -> None:
    """Draw an incident into a file; while its cause lasts, the ground is darker."""
    moments = incident.moments[:: max(1, len(incident.moments) // _POINTS)]
    seconds = [each.at_s for each in moments]
    with drawing(path, f"Simulated: {incident.title}") as figure:
        for axes, (label, lines) in zip(
            figure.subplots(len(_PANELS), sharex=True), _PANELS.items(), strict=True
        ):
            for name, of, colour, style in zip(_LINES, lines, COLOURS, ("-", "--"), strict=False):
                values = [of(each) for each in moments]
                axes.plot(
                    seconds,
                    values,
                    style,
                    color=colour,
                    label=f"{name}: at most {shown(max(values))}",
                )
            axes.axvspan(incident.begin_s, incident.end_s, color=COLOURS[0], alpha=0.15, lw=0)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(shown)
            axes.legend(loc="upper right")
        axes.set_xlabel("seconds")
