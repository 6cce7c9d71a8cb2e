"""What README says is true: settings, names in Redis, files."""

import re
from pathlib import Path

import pytest

from metrics.keyspace import LAYOUT, PartitionNames
from ops.lab.service import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def variables_in(path: Path) -> set[str]:
    """Return the environment variables that a file reads."""
    text = path.read_text("utf-8")
    return set(re.findall(r"\"(METRICS_[A-Z_]+|REDIS_URL|PORT)\"", text))


@pytest.mark.parametrize("path", ["src/metrics/settings.py", "ops/local/run.py"])
def test_every_setting_is_documented(path: str) -> None:
    """In the table of settings."""
    variables = variables_in(ROOT / path)

    assert variables
    for name in variables:
        assert f"`{name}`" in README, name


def test_every_name_in_redis_is_documented() -> None:
    """As redis-cli shows it."""
    partition = PartitionNames(7)
    names = [
        *(partition.stream, partition.keys, partition.backlog, partition.dead, partition.audit),
        partition.hour("2026-11-23T14:checkout.web-1"),
        *(partition.seen("<idempotency key>"), partition.batch("<idempotency key>"), LAYOUT),
    ]

    for name in names:
        assert f"`{name}`" in README, name


def test_every_file_that_is_named_is_there() -> None:
    """A newcomer follows them."""
    for name in re.findall(r"`?((?:ops|src|api|workers|docs)/[\w./-]*)", README):
        assert (ROOT / name).exists(), name
