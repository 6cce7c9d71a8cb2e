"""``GET /audit``: the books of all partitions, and whether they balance."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

import falcon
import msgspec

from api.access import Access
from api.problems import Problem, unavailable
from api.throttled_log import ThrottledLog
from metrics.books import Books, read_books
from metrics.connection import Connection
from metrics.errors import MetricsError, StorageUnavailableError

_log = logging.getLogger(__name__)


class AllBooks:
    """The books of all partitions, of which any may be away.

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

    def read(self) -> dict[int, Books | MetricsError]:
        """Return for each partition its books, or the error that keeps them from being read.

        Raises:
            LayoutError: If Redis has other partitions than these.
        """
        # The node with the layout may be away while others are not; theirs are shown.
        with contextlib.suppress(StorageUnavailableError):
            self._ensure_layout()
        return read_books(self._connection, self._partitions)


class Audit:
    """``/audit``: what came into each partition, and what became of it.

    ``balance`` is null where that is not known. So is ``total`` while any partition cannot be
    read: a sum of the others would look as if something were missing.
    """

    def __init__(self, all_books: AllBooks, *, access: Access) -> None:
        self._all_books = all_books
        self._access = access
        self._log = ThrottledLog(_log)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the books of the partitions that can be read.

        Raises:
            falcon.HTTPError: If the request may not ask this, or nothing can be read.
            MetricsError: If Redis is another's.
        """
        # Only the empty prefix begins the empty key.
        if not self._access.grant(req).covers(""):
            raise Problem(falcon.HTTP_403, "this token may not read all keys, as the books do")
        found = self._all_books.read()
        self._log_what_is_wrong(found)
        books = [each for each in found.values() if isinstance(each, Books)]
        if not books:
            first = next(each for each in found.values() if isinstance(each, MetricsError))
            raise unavailable(f"no partition can be read: {first.public}") from first
        is_whole = len(books) == len(found)
        answer = {
            "balance": _balance(books, is_whole=is_whole),
            "partitions": [_partition(number, each) for number, each in found.items()],
            "total": _numbers(books) if is_whole else None,
        }
        resp.data = msgspec.json.encode(answer)
        resp.cache_control = ["no-store"]

    on_head = on_get

    def _log_what_is_wrong(self, found: Mapping[int, Books | MetricsError]) -> None:
        for number, books in found.items():
            if isinstance(books, StorageUnavailableError):
                self._log.log(books.public, "partition %d: %s", number, books)
            elif isinstance(books, MetricsError):
                _log.error("partition %d: %s", number, books)
            elif not books.balance:
                _log.error("partition %d: the books do not balance: %s", number, books)


def _balance(books: Sequence[Books], *, is_whole: bool) -> bool | None:
    """Return whether all books balance: one that does not is enough to know that."""
    if not all(each.balance for each in books):
        return False
    return True if is_whole else None


def _partition(number: int, books: Books | MetricsError) -> dict[str, object]:
    if isinstance(books, Books):
        return {"partition": number, **_numbers([books]), "balance": books.balance}
    return {"partition": number, "error": books.public, "balance": None}


def _numbers(books: Sequence[Books]) -> dict[str, object]:
    """Return what some books add up to."""
    return {
        "entries": {
            "appended": sum(each.appended for each in books),
            "committed": sum(each.committed for each in books),
            "dead": sum(each.dead for each in books),
            "foreign": sum(each.foreign for each in books),
            "backlog": sum(each.length for each in books),
        },
        "messages": {
            "accepted": sum(each.accepted for each in books),
            "applied": sum(each.applied for each in books),
            "dead_messages": sum(each.dead_messages for each in books),
        },
    }
