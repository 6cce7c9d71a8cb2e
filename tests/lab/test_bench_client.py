"""The benchmarks of the client library run with few calls, and their tables are whole."""

import subprocess
import sys

import pytest

from ops.lab.bench import app_latency, client
from ops.lab.latencies import Latencies, shown

FEW = ["--calls", "100", "--rounds", "1", "--values", "1000"]
OTHERS = ("statsd", "datadog", "prometheus_client")


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table, by its name."""
    rows = {}
    for line in table.splitlines():
        name, *cells = line.split("  ")
        if [cell for cell in cells if cell]:
            rows[name.strip()] = " ".join(cells).split()
    return rows


def test_the_table_of_costs_has_each_library_in_each_of_its_states() -> None:
    """The tables have each library's costs in each state, its memory, and its noticed losses."""
    # In a process of its own: some libraries leave threads behind that hang in the next fork.
    bench = [sys.executable, "-m", "ops.lab.bench.client", *FEW]
    output = subprocess.run(bench, check=True, capture_output=True, text=True, timeout=600).stdout

    costs, memory, noticed = output.split("\n\n")
    missing = {name for name in OTHERS if f"{name} is left out" in costs}
    expected = [row for row in client.ROWS if row.package not in missing]
    rows = rows_of(costs)
    for row in expected:
        assert len(rows[row.name]) == 8, row.name
    assert float(rows_of(memory)["metrics"][0]) >= 16
    assert rows_of(noticed)["metrics"] == ["1000", "1000"]


def test_a_library_that_is_not_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library that is not installed is named as left out, and the others are compared."""
    find_spec = client.find_spec
    monkeypatch.setattr(
        client, "find_spec", lambda name: None if name in OTHERS else find_spec(name)
    )
    for name in OTHERS:
        monkeypatch.setitem(sys.modules, name, None)

    assert client.main(FEW) == 0

    output = capsys.readouterr().out
    for name in OTHERS:
        assert f"{name} is left out" in output
    assert "metrics" in rows_of(output)


def test_the_table_of_an_app_has_each_state_of_its_collectors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The table of an app has each state of the collectors, and ratios to no client."""
    assert app_latency.main(["--rounds", "1", "--seconds", "0.1"]) == 0

    rows = rows_of(capsys.readouterr().out)
    for state in ("no client, again", "collectors well", "collectors hang", "collectors refuse"):
        assert int(rows[state][0]) > 0
    assert rows["no client"][-3:] == ["1.00", "1.00", "1.00"]


def test_latencies_tell_the_slowest_of_a_hundred_and_of_a_thousand() -> None:
    """Latencies give p50, p99, p999 and the maximum, in whatever order the times come."""
    found = Latencies.of([*range(1000, 0, -1)])

    assert (found.calls, found.p50, found.p99, found.p999, found.max) == (
        1000,
        501,
        991,
        1000,
        1000,
    )


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0 ns"), (650, "650 ns"), (1234, "1.23 us"), (31_200_000, "31.2 ms")]
)
def test_a_time_is_shown_in_the_unit_that_fits(ns: float, text: str) -> None:
    """A time is shown with up to three digits in the unit that fits."""
    assert shown(ns) == text
