"""Settings that gunicorn applies before it forks."""

import subprocess
import sys

import pytest

from ops.lab.service import ROOT

START = """
import runpy, sys
from pathlib import Path
from types import SimpleNamespace

settings = runpy.run_path("ops/gunicorn_settings.py")
settings["on_starting"](SimpleNamespace(app=SimpleNamespace(app_uri=f"{sys.argv[1]}:get_app()")))
print(sys.argv[1] in sys.modules, len(list(Path("/proc/self/task").iterdir())))
"""


@pytest.mark.parametrize("app", ["api.collector.app", "api.query.app"])
def test_what_its_workers_run_is_imported_before_the_fork(app: str) -> None:
    """The app is imported before gunicorn forks, and starts no thread."""
    done = subprocess.run(
        [sys.executable, "-c", START, app],
        cwd=ROOT,
        env={"REDIS_URL": "redis://localhost"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["True", "1"]
