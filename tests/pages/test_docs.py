"""README and the reference are right about settings, names in Redis and files."""

import re
from pathlib import Path

import pytest

from metrics.keyspace import LAYOUT, PartitionNames
from ops.lab.service import ROOT

README = (ROOT / "README.md").read_text("utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
REDIS = (ROOT / "docs" / "redis.md").read_text("utf-8")


def variables_in(path: Path) -> set[str]:
    """Return the environment variables that a file reads."""
    text = path.read_text("utf-8")
    return set(re.findall(r"\"(METRICS_[A-Z_]+|REDIS_URL|PORT)\"", text))


@pytest.mark.parametrize("path", ["src/metrics/settings.py", "ops/local/run.py"])
def test_every_setting_is_documented(path: str) -> None:
    """Every environment variable that the code reads is on the page of settings."""
    variables = variables_in(ROOT / path)

    assert variables
    for name in variables:
        assert f"`{name}`" in SETTINGS, name


def test_every_name_in_redis_is_documented() -> None:
    """Every name in Redis is on the page about Redis."""
    partition = PartitionNames(7)
    names = [
        *(partition.stream, partition.keys, partition.backlog, partition.dead, partition.audit),
        partition.hour("2026-11-23T14:checkout.web-1"),
        *(partition.seen("<idempotency key>"), partition.batch("<idempotency key>"), LAYOUT),
    ]

    for name in names:
        assert f"`{name}`" in REDIS, name


def test_every_file_that_is_named_is_there() -> None:
    """Every file that README names is there."""
    for name in re.findall(r"`?((?:ops|src|api|workers|docs)/[\w./-]*)", README):
        assert (ROOT / name).exists(), name


def test_readme_is_short() -> None:
    """README has at most 180 lines."""
    assert len(README.splitlines()) <= 180


def test_figures_of_speed_stand_on_one_page() -> None:
    """README has no figures of speed."""
    assert not re.search(r"\d[\d,.]* *(million )?(messages|requests)/s", README)
