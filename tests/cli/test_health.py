"""What makes a pipeline unhealthy."""

from dataclasses import replace

import pytest

from metrics.audit import PartitionAudit
from metrics.cli.health import Health, problems

WELL = PartitionAudit(
    0, appended=5, committed=4, dead=0, accepted=9, applied=8, dead_messages=0, length=1
)
HEALTHY = Health(
    audits=[WELL],
    unreadable={},
    oldest_s=3.0,
    consumers=[],
    dead_letters=0,
    layout={"partitions": "1"},
    expected_layout={},
    keys=2,
)

LIMITS: dict[str, int] = {"age_max_s": 60, "backlog_limit": 100, "keys_max": 10, "new_keys_max": 6}


def test_a_small_young_backlog_is_healthy() -> None:
    """A backlog is no problem while it is young and below its limit."""
    assert problems(HEALTHY, **LIMITS) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unreadable": {3: "its node is away"}}, "partition 3: its node is away"),
        ({"audits": [replace(WELL, committed=3)]}, "the audit of partition 0 does not balance"),
        ({"audits": [replace(WELL, appended=104, length=100)]}, "at its limit of 100"),
        ({"oldest_s": 61.0}, "has waited for 61 s, more than 60"),
        ({"dead_letters": 2}, "2 dead letters"),
        ({"keys": 9}, "there are 9 keys, and METRICS_KEYS_MAX is 10"),
        ({"keys": 10}, "as many keys as METRICS_KEYS_MAX allows, 10 of 10: new ones are refused"),
        ({"new_keys": 5}, "5 new keys in this hour, and METRICS_NEW_KEYS_PER_HOUR is 6"),
        ({"new_keys": 6}, "new keys in this hour as METRICS_NEW_KEYS_PER_HOUR allows, 6 of 6"),
        ({"expected_layout": {"schema_version": "1"}}, "schema_version of the layout is missing"),
    ],
)
def test_each_fault_is_said(change: dict[str, object], said: str) -> None:
    """Each fault is one sentence."""
    (text,) = problems(replace(HEALTHY, **change), **LIMITS)  # type: ignore[arg-type]

    assert said in text
