"""The client works in every Python that it is made for and that is at hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_collector import fake_collector
from tests.support.scenarios import run

VERSIONS = ("3.11", "3.12", "3.13")


def python_of(version: str) -> str | None:
    """Return an interpreter of a version; None if none is at hand."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(name), *map(str, pyenv.glob(f"versions/{version}.*/bin/{name}"))]
    return next((python for python in found if python and does_run(python)), None)


def does_run(python: str) -> bool:
    """Return whether an interpreter runs; a shim of a version that is not chosen does not."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_all_of_the_client_works_in_every_python(version: str) -> None:
    """The whole API of the client works in every Python at hand."""
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} at hand")
    with fake_collector() as collector:
        run("whole_api.py", collector.url, python=python)

    for key in ("plain", "parent", "child", "closed"):
        assert collector.values(key) == [1]
    for key in ("timed", "called", "awaited"):
        assert len(collector.values(key)) == 1
    assert min(collector.values("timed") + collector.values("awaited")) >= 10
