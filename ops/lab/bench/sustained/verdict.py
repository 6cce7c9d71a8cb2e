"""The verdict: whether each message counted once, and what stood against a rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from ops.lab.bench.sustained.span import Span

KEPT_UP = 0.99
"""Of what was due; the rest is what the last moment leaves under way."""

FULL = 0.9
"""Of a core: who has so much of it has no more to give, as others want some of it too."""

BEHIND_MAX_S = 2.0
"""Deeper than that, a backlog is no longer what lies between two commits."""


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """One load's messages, as everybody has counted them.

    Attributes:
        sent: By the sender.
        accepted: By the answers of the collector.
        appended: By the script that appends.
        counted: By the query service.
        statuses: Status -> requests that were answered with it.
        queries_failed: Queries that were answered with something else than a number.
    """

    sent: int
    accepted: int
    appended: int
    counted: int
    statuses: Mapping[int, int]
    queries_failed: int = 0

    def complaints(self) -> list[str]:
        """Return what is wrong: messages lost or too many, and answers that none may get."""
        found = []
        if len({self.sent, self.accepted, self.appended, self.counted}) > 1:
            found.append(
                f"sent {self.sent} messages, accepted {self.accepted}, appended {self.appended}, "
                f"counted {self.counted}"
            )
        fine = {HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE}
        if strange := {status: n for status, n in self.statuses.items() if status not in fine}:
            found.append(f"requests were answered with {strange}")
        if self.queries_failed:
            found.append(f"{self.queries_failed} queries failed")
        if not self.counted:
            found.append("no message was counted")
        return found


def kept_up(whole: Span) -> bool:
    """Return whether all that was due was sent, and worked off about as fast as it came."""
    return whole.sent >= KEPT_UP * whole.due and whole.behind_s <= BEHIND_MAX_S


def where_stuck(whole: Span) -> list[str]:
    """Return what stands against a higher rate, the most important first.

    Args:
        whole: All of the load.
    """
    found = []
    if whole.sent < KEPT_UP * whole.due:
        found.append(
            f"{whole.due - whole.sent:,} messages were not sent: no connection was free for them"
        )
    if whole.behind_s > BEHIND_MAX_S:
        found.append(
            f"the backlog grows: {whole.waiting:,} messages at the end, {whole.behind_s:.1f} s of "
            "the worker's time"
        )
    full = {name: share for name, share in whole.shares.items() if share >= FULL}
    found += [f"{name} has {share:.0%} of a core" for name, share in full.items()]
    if whole.busy >= FULL:
        most = max(whole.shares, key=lambda name: whole.shares[name])
        found.append(
            f"the {whole.cores} cores are {whole.busy:.0%} busy: these processes have "
            f"{sum(whole.shares.values()):.2f} of them, {most} the most with "
            f"{whole.shares[most]:.2f}; all else is other programs"
        )
    return found
