"""Settings that ops/run makes by itself."""

import pytest

from ops.local import run as launch


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 2), (4, 4), (64, 4), (None, 1)])
def test_a_service_has_a_process_for_each_core(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int
) -> None:
    """ops/run gives a service a process for each core, up to four."""
    monkeypatch.setattr(launch.os, "cpu_count", lambda: cores)

    assert launch.web_concurrency() == processes
