"""The benchmark of the agent accounts for every datagram."""

from contextlib import nullcontext

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
    target = agent.Target("metrics", 0, {})
    monkeypatch.setattr(agent, "_ours", lambda: nullcontext((target, lambda: 1)))
    monkeypatch.setattr(agent, "_measure", lambda *_: (("metrics",), 110))

    assert agent.main(["--rates", "100", "--seconds", "0.1"]) == 1
    assert "110 sent at 100/s, 1 counted or reported" in capsys.readouterr().err
