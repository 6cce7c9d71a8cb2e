"""The plots of incidents: depth and age of what waits, over time."""

from pathlib import Path

from ops.lab.plot import COLOURS, drawing, shown
from ops.lab.scale.incidents import BEGIN_S, Incident

_POINTS = 200


def plot(incident: Incident, path: Path) -> None:
    """Draw an incident into a file; while its cause lasts, the ground is darker."""
    each = slice(None, None, max(1, len(incident.at_s) // _POINTS))
    panels = {
        "messages": (incident.backlog, incident.waiting),
        "age of the oldest, s": (incident.backlog_age_s, incident.waiting_age_s),
    }
    with drawing(path, f"Simulated: {incident.title}") as figure:
        for axes, (label, curves) in zip(
            figure.subplots(len(panels), sharex=True), panels.items(), strict=True
        ):
            for name, curve, colour, style in zip(
                ("backlog", "in clients"), curves, COLOURS, ("-", "--"), strict=False
            ):
                legend = f"{name}: at most {shown(curve.max())}"
                axes.plot(incident.at_s[each], curve[each], style, color=colour, label=legend)
            axes.axvspan(BEGIN_S, incident.end_s, color=COLOURS[0], alpha=0.15, lw=0)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(shown)
            axes.legend(loc="upper right")
        axes.set_xlabel("seconds")
