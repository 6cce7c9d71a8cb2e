"""The benchmark of the agent accounts for every datagram."""

import pytest

from ops.lab.bench import agent


def test_every_datagram_is_counted_or_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run ends with status 0, and its table has what a message costs."""
    assert agent.main(["--rates", "500", "--seconds", "1"]) == 0

    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[0] == "metrics"
    assert float(row[3]) > 0


def test_a_datagram_that_nobody_counts_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status is 1 if fewer are counted than were sent."""
    monkeypatch.setattr(agent, "_counted", lambda *_: 1)

    assert agent.main(["--rates", "100", "--seconds", "0.1"]) == 1
    assert "sent at 100/s, 1 counted or reported" in capsys.readouterr().err
