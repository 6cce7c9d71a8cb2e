"""``GET /audit``: the audit of all partitions, and whether they balance."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

import falcon
import msgspec

from api.access import Access
from api.problems import Problem, unavailable
from metrics.audit import PartitionAudit, read_audits
from metrics.connection import Connection
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.throttled_log import ThrottledLog

_log = logging.getLogger(__name__)


class AuditReader:
    """The audit of all partitions, of which any may be away.

    Args:
        connection: The way to Redis.
        ensure_layout: Checks that Redis holds what this process expects.
        partitions: How many there are.
    """

    def __init__(
        self, connection: Connection, *, ensure_layout: Callable[[], None], partitions: int
    ) -> None:
        self._connection = connection
        self._ensure_layout = ensure_layout
        self._partitions = range(partitions)

    def read(self) -> dict[int, PartitionAudit | MetricsError]:
        """Return for each partition its audit, or the error that keeps them from being read.

        Raises:
            LayoutError: If Redis has other partitions than these.
        """
        # The node with the layout may be away while others are not; theirs are shown.
        with contextlib.suppress(StorageUnavailableError):
            self._ensure_layout()
        return read_audits(self._connection, self._partitions)


class Audit:
    """``/audit``: what came into each partition, and what became of it.

    ``balance`` is null where that is not known. So is ``total`` while any partition cannot be
    read: a sum of the others would look as if something were missing.
    """

    def __init__(self, audit_reader: AuditReader, *, access: Access) -> None:
        self._audit_reader = audit_reader
        self._access = access
        self._log = ThrottledLog(_log)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the audit of the partitions that can be read.

        Raises:
            falcon.HTTPError: If the request may not ask this, or nothing can be read.
            MetricsError: If Redis is another's.
        """
        # Only the empty prefix begins the empty key.
        if not self._access.grant(req).covers(""):
            raise Problem(falcon.HTTP_403, "this token may not read all keys, as the audit does")
        found = self._audit_reader.read()
        self._log_what_is_wrong(found)
        audit = [each for each in found.values() if isinstance(each, PartitionAudit)]
        if not audit:
            first = next(each for each in found.values() if isinstance(each, MetricsError))
            raise unavailable(f"no partition can be read: {first.public}") from first
        is_whole = len(audit) == len(found)
        answer = {
            "balance": _balance(audit, is_whole=is_whole),
            "partitions": [_partition(number, each) for number, each in found.items()],
            "total": _numbers(audit) if is_whole else None,
        }
        resp.data = msgspec.json.encode(answer)
        resp.cache_control = ["no-store"]

    on_head = on_get

    def _log_what_is_wrong(self, found: Mapping[int, PartitionAudit | MetricsError]) -> None:
        for number, audit in found.items():
            if isinstance(audit, StorageUnavailableError):
                self._log.log(audit.public, "partition %d: %s", number, audit)
            elif isinstance(audit, MetricsError):
                self._log.log(str(audit), "partition %d: %s", number, audit, level=logging.ERROR)
            elif not audit.balance:
                self._log.log(
                    f"balance of {number}",
                    "partition %d: the audit does not balance: %s",
                    number,
                    audit,
                    level=logging.ERROR,
                )


def _balance(audit: Sequence[PartitionAudit], *, is_whole: bool) -> bool | None:
    """Return whether all audits balance: one that does not is enough to know that."""
    if not all(each.balance for each in audit):
        return False
    return True if is_whole else None


def _partition(number: int, audit: PartitionAudit | MetricsError) -> dict[str, object]:
    if isinstance(audit, PartitionAudit):
        return {"partition": number, **_numbers([audit]), "balance": audit.balance}
    return {"partition": number, "error": audit.public, "balance": None}


def _numbers(audit: Sequence[PartitionAudit]) -> dict[str, object]:
    """Return what some audits add up to."""
    deleted = sum(each.deleted for each in audit)
    return {
        "entries": {
            "appended": sum(each.appended for each in audit),
            "committed": sum(each.committed for each in audit),
            "dead": sum(each.dead for each in audit),
            "foreign": sum(each.foreign for each in audit),
            "backlog": sum(each.length for each in audit),
        },
        "messages": {
            "accepted": sum(each.accepted for each in audit),
            "applied": sum(each.applied for each in audit),
            "dead_messages": sum(each.dead_messages for each in audit),
            **({"deleted": deleted} if deleted else {}),
        },
    }
