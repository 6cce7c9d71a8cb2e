"""The table: what each system took in, and its ratio to the best of the others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from ops.lab.bench.ingest.measure import Run

Round = Sequence[Run]
"""All runs of one round: the machine was the same, as far as that goes."""

MS_PER_US = 1e-3


def table(rounds: Sequence[Round], ours: str) -> str:
    """Return the table of some rounds, each figure the median of its rounds.

    Args:
        rounds: Each with the same runs.
        ours: The system whose ratios to the best of the others are shown, with their least and
            greatest: far apart, something else kept the machine busy.
    """
    lines = [
        f"{'workload':<11}{'system':<17}{'form':<15}{'messages/s':>12}{'to best peer':>18}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'drain s':>9}{'errors':>8}   CPU s per million messages"
    ]
    for workload, system, form in _names(rounds[0]):
        runs = [_run(each, workload, system, form) for each in rounds]
        ratios = [ratio_to_best(each, workload, ours) for each in rounds]
        ratio = _shown([each for each in ratios if each is not None]) if system == ours else ""
        lines.append(
            f"{workload:<11}{system:<17}{form:<15}{_median(runs, _rate):>12,.0f}{ratio:>18}"
            f"{_median(runs, _p50_ms):>9.1f}{_median(runs, _p99_ms):>9.1f}"
            f"{_median(runs, _drain_s):>9.2f}{sum(run.load.errors for run in runs):>8}   "
            f"{_cpu(runs)}"
        )
    return "\n".join(lines)


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


def _names(runs: Round) -> Iterable[tuple[str, str, str]]:
    workloads = dict.fromkeys(run.workload.name for run in runs)
    for workload in workloads:
        systems = sorted({run.system for run in runs}, key=lambda name: name.lower())
        for system in systems:
            for run in runs:
                if (run.workload.name, run.system) == (workload, system):
                    yield workload, system, run.form


def _run(runs: Round, workload: str, system: str, form: str) -> Run:
    return next(
        run for run in runs if (run.workload.name, run.system, run.form) == (workload, system, form)
    )


def _rates_of(runs: Round, workload: str) -> Mapping[str, float]:
    rates: dict[str, float] = {}
    for run in runs:
        if run.workload.name == workload:
            rates[run.system] = max(_rate(run), rates.get(run.system, 0.0))
    return rates


def _shown(ratios: Sequence[float]) -> str:
    """Return the median of ratios, and how far apart they are."""
    if len(ratios) < 2:
        return "".join(f"{ratio:.2f}" for ratio in ratios)
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _median(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return median(map(figure, runs))


def _rate(run: Run) -> float:
    return run.messages_per_s


def _p50_ms(run: Run) -> float:
    return run.load.p50_us * MS_PER_US


def _p99_ms(run: Run) -> float:
    return run.load.p99_us * MS_PER_US


def _drain_s(run: Run) -> float:
    return run.drain_s


def _cpu(runs: Sequence[Run]) -> str:
    per_million = [run.cpu_per_million() for run in runs]
    return " ".join(
        f"{name} {median(each[name] for each in per_million):.2f}" for name in per_million[0]
    )
