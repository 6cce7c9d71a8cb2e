"""The benchmarks of the client library run with few calls, and their tables are whole."""

import pytest

from ops.lab.bench import client, middleware
from ops.lab.quantiles import Quantiles, shown


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table, by its name."""
    rows = [line.split("  ") for line in table.splitlines()]
    return {name: [cell.strip() for cell in cells if cell.strip()] for name, *cells in rows}


def test_the_tables_have_each_state_of_the_collectors(capsys: pytest.CaptureFixture[str]) -> None:
    """Calls and an app's requests have each state of the collectors; a value takes 16 bytes."""
    assert client.main(["--calls", "20", "--rounds", "1", "--seconds", "0.1"]) == 0

    calls, size, requests = capsys.readouterr().out.split("\n\n")
    for state in ("collectors well", "collectors hang", "buffer full"):
        assert len(rows_of(calls)[state]) == 6, state
    assert float(size.split()[-2]) >= 16
    for state in ("no client, again", "collectors well", "collectors hang", "collectors refuse"):
        assert len(rows_of(requests)[state]) == 6, state
    assert rows_of(requests)["no client"][-3:] == ["1", "1", "1"]


def test_middleware_is_measured_bare_and_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of the middleware has both kinds of apps, bare, wrapped and the difference."""
    monkeypatch.setattr(middleware, "REQUESTS", 10)
    monkeypatch.setattr(middleware, "ROUNDS", 1)
    middleware.main()

    rows = rows_of(capsys.readouterr().out)
    assert len(rows["WSGI"]) == len(rows["ASGI"]) == 3


def test_quantiles_are_the_largest_of_a_hundred_and_of_a_thousand() -> None:
    """Quantiles are p50, p99, p999 and the maximum, in whatever order the numbers come."""
    assert Quantiles.of([*range(1000, 0, -1)]) == Quantiles(1000, 501, 991, 1000, 1000)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 ns"), (650, "650 ns"), (1234, "1.23 us"), (31_200_000, "31.2 ms"), (4.5e9, "4.5 s")],
)
def test_a_time_is_shown_in_the_unit_that_fits(ns: float, text: str) -> None:
    """A time is shown with up to three digits in the unit that fits."""
    assert shown(ns) == text
