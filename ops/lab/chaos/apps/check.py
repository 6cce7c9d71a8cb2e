"""The comparison of what apps have recorded with what the query service answers."""

import http.client
from collections.abc import Callable, Iterator, Sequence

from ops.lab.chaos.apps.report import KeyHour, Report
from ops.lab.service import Answer

BLOCKED_NS = 250_000_000
"""A client that waits for a collector would wait for 500 ms or 2 s; one on a busy machine, less."""

Get = Callable[[str], Answer]
"""Asks the query service for a path."""


def differences(reports: Sequence[Report], get: Get) -> Iterator[str]:
    """Yield whatever is not counted once, in its hour, or not told to be dropped.

    Args:
        reports: Of all apps.
        get: The way to the query service; the backlog is empty.

    Raises:
        RuntimeError: If there is an answer that nobody should get.
    """
    hours = sorted({hour for report in reports for hour in report.hours})
    for report in reports:
        yield from _wrong_stats(report)
        for hour in hours:
            recorded = report.hours.get(hour, KeyHour())
            answered = _ask(get, report.key, hour)
            if answered != recorded:
                yield f"{report.key} in {hour}: recorded {recorded}, answered {answered}"


def _wrong_stats(report: Report) -> Iterator[str]:
    expected = {
        "recorded": report.recorded,
        "sent": report.recorded - report.dropped,
        "rejected": 0,
        "dropped": report.dropped,
        "buffered": 0,
    }
    told = {name: report.stats.get(name) for name in expected}
    if told != expected:
        yield f"{report.key}: its client's stats are {report.stats}, expected {expected}"
    if not report.is_delivered:
        yield f"{report.key}: close() says that not all was delivered"


def _ask(get: Get, key: str, hour: str) -> KeyHour:
    answer = get(f"/{key}/summary/{hour.replace('T', '/')}")
    if answer.status not in {http.client.OK, http.client.NOT_FOUND}:
        raise RuntimeError(f"GET summary of {key} in {hour} is answered {answer.status}")
    members = answer.json
    return KeyHour(*(members.get(name) or 0 for name in ("count", "sum", "dropped")))
