"""The table and the plot: what each system took in, and its ratio to the best of the others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from tabulate import tabulate

from ops.lab.bench.ingest.measure import Run

Round = Sequence[Run]
"""All runs of one round: the machine was the same, as far as that goes."""

Throughputs = Mapping[str, Mapping[int, float]]
"""System -> messages per request -> messages/s."""

_HEAD = (
    *("workload", "system", "form", "messages/s", "to best other", "p50 ms", "p99 ms", "drain s"),
    *("errors", "CPU s per million messages"),
)


def table(rounds: Sequence[Round], ours: str) -> str:
    """Return the table of some rounds, each figure the median of its rounds.

    Args:
        rounds: Each with the same runs.
        ours: The system whose ratios to the best of the others are shown, with their least and
            greatest: far apart, something else kept the machine busy.
    """
    rows = []
    for workload, system, form in _names(rounds[0]):
        runs = [_run(each, workload, system, form) for each in rounds]
        ratios = [ratio_to_best(each, workload, ours) for each in rounds]

        def of(figure: Callable[[Run], float], runs: Sequence[Run] = runs) -> float:
            return median(map(figure, runs))

        rows.append(
            (
                *(workload, system, form, f"{of(lambda run: run.messages_per_s):,.0f}"),
                _shown([each for each in ratios if each is not None]) if system == ours else "",
                f"{of(lambda run: run.load.p50_us / 1000):.1f}",
                f"{of(lambda run: run.load.p99_us / 1000):.1f}",
                f"{of(lambda run: run.drain_s):.2f}",
                sum(run.load.errors for run in runs),
                _cpu(runs),
            )
        )
    return tabulate(rows, _HEAD, disable_numparse=True)


def ratio_to_best(runs: Round, workload: str, ours: str) -> float | None:
    """Return the throughput of ours by that of the best other; None if one of them is missing."""
    rates = _rates_of(runs, workload)
    others = [rate for system, rate in rates.items() if system != ours]
    return rates[ours] / max(others) if ours in rates and others else None


def throughputs(rounds: Sequence[Round]) -> dict[str, dict[int, float]]:
    """Return for each system: messages per request -> messages/s, in its best form."""
    found: dict[str, dict[int, float]] = {}
    for run in rounds[0]:
        rates = [_rates_of(each, run.workload.name)[run.system] for each in rounds]
        found.setdefault(run.system, {})[run.workload.batch] = median(rates)
    return found


def plot(found: Throughputs, path: Path, caption: str) -> None:
    """Draw throughput against messages per request; each line has its name at its end.

    Args:
        found: What to show, of up to three systems.
        path: Of the file.
        caption: Stands below.
    """
    # Here, since matplotlib takes longer to import than all the rest.
    from ops.lab.plot import COLOURS, MARKS, drawing, shown

    with drawing(path, "Throughput from POST to counted, rows") as figure:
        axes = figure.subplots()
        for (name, figures), colour, mark in zip(found.items(), COLOURS, MARKS, strict=False):
            sizes, rates = zip(*sorted(figures.items()), strict=True)
            label = f"{name}, at most {shown(max(rates))}/s"
            axes.loglog(sizes, rates, color=colour, marker=mark, label=label)
        axes.set_xlabel(f"messages per request\n{caption}")
        axes.set_ylabel("messages per second")
        axes.legend()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(shown)


def _names(runs: Round) -> Iterable[tuple[str, str, str]]:
    for workload in dict.fromkeys(run.workload.name for run in runs):
        for run in sorted(runs, key=lambda run: run.system.lower()):
            if run.workload.name == workload:
                yield workload, run.system, run.form


def _run(runs: Round, workload: str, system: str, form: str) -> Run:
    return next(
        run for run in runs if (run.workload.name, run.system, run.form) == (workload, system, form)
    )


def _rates_of(runs: Round, workload: str) -> Mapping[str, float]:
    rates: dict[str, float] = {}
    for run in runs:
        if run.workload.name == workload:
            rates[run.system] = max(run.messages_per_s, rates.get(run.system, 0.0))
    return rates


def _shown(ratios: Sequence[float]) -> str:
    """Return the median of ratios, and how far apart they are."""
    if len(ratios) < 2:
        return "".join(f"{ratio:.2f}" for ratio in ratios)
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _cpu(runs: Sequence[Run]) -> str:
    return " ".join(
        f"{name} {median(run.cpu_s[name] * 1e6 / max(run.answered, 1) for run in runs):.2f}"
        for name in runs[0].cpu_s
    )
