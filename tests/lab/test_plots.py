"""Plots name what they show, and are the same to the byte each time."""

from pathlib import Path
from xml.etree import ElementTree as ET

from ops.lab.bench.ingest.table import plot
from ops.lab.scale import __main__ as scale
from ops.lab.service import ROOT

FIGURES = {1: 3_000.0, 10: 30_000.0, 100: 200_000.0, 1000: 700_000.0, 10_000: 800_000.0}


def test_plots_are_written_as_they_are_in_docs(tmp_path: Path) -> None:
    """The plot of each incident is to the byte the one in docs, and names what it shows."""
    assert scale.main(["simulate", "--plot", str(tmp_path)]) == 0

    names = ["scale-burst", "scale-dead-collector", "scale-dead-worker", "scale-failover"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == names
    for path in tmp_path.iterdir():
        assert (ROOT / "docs" / path.name).read_bytes() == path.read_bytes()
        text = path.read_text("utf-8")
        for words in ("messages", "age of the oldest, s", "seconds"):
            assert f">{words}</text>" in text
        assert text.count("backlog: at most") == text.count("in clients: at most") == 2


def test_the_plot_of_throughput_names_all_it_shows(tmp_path: Path) -> None:
    """The plot of throughput names its caption, its axes and the systems."""
    path = tmp_path / "throughput.svg"
    found = {"metrics": FIGURES, "A & B": {size: 2 * rate for size, rate in FIGURES.items()}}
    plot(found, path, "2026-11-24, 2 cores")

    texts = {text.strip() for text in ET.fromstring(path.read_text("utf-8")).itertext()}
    assert {"2026-11-24, 2 cores", "messages per request", "messages per second"} <= texts
    assert {"metrics, at most 800 k/s", "A & B, at most 1.6 M/s"} <= texts
