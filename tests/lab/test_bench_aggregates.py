"""The benchmark of client aggregates accounts for every value."""

import pytest

from ops.lab.bench import aggregates


def test_every_value_is_sent_folded_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run ends with status 0, and has a row for each way to send."""
    assert aggregates.main(["--rates", "2000", "--rounds", "1"]) == 0

    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["each value", "aggregates"]
