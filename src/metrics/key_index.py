"""The keys of one partition in a process's memory: those of a prefix, and how new each is.

There may be a hundred thousand of them, so hours are compared in arrays, and keys lie in order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedList

_AFTER_ALL = "\x7f"
"""Sorts after every character of a key."""


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """The keys of one partition with their newest hours, as they were read.

    Attributes:
        keys: In order.
        newest: Of each its newest hour then, in digits: it may have risen since.
        ordered: The same hours, in order.
        read_at: When, by the clock of the process.
        removed: How many keys deletions had removed before, as Redis says it.
    """

    keys: SortedList[str]
    newest: npt.NDArray[np.int64]
    ordered: npt.NDArray[np.int64]
    read_at: float
    removed: bytes | None

    @classmethod
    def of(cls, newest: Mapping[str, int], read_at: float, removed: bytes | None = None) -> Self:
        """Return the index of keys, each with its newest hour in digits."""
        keys = SortedList(newest)
        hours = np.fromiter(map(newest.__getitem__, keys), np.int64, len(keys))
        return cls(keys, hours, np.sort(hours), read_at, removed)

    def count_since(self, hour: int) -> int:
        """Return how many keys have an hour at least as new."""
        return self.ordered.size - int(np.searchsorted(self.ordered, hour))

    def keys_of(self, prefix: str, after: str = "") -> Iterator[str]:
        """Return the keys that begin with ``prefix`` and come after ``after``, in order."""
        is_later = after >= prefix
        first = after if is_later else prefix
        yield from self.keys.irange(first, prefix + _AFTER_ALL, inclusive=(not is_later, False))

    def count_of(self, prefix: str, since: int) -> int:
        """Return how many keys with ``prefix`` have an hour at least as new."""
        return int((self.newest[self._range_of(prefix)] >= since).sum())

    def newest_of(self, prefix: str, since: int) -> dict[str, int]:
        """Return the newest hours of the keys with ``prefix`` that are at least as new."""
        some = self._range_of(prefix)
        hours = self.newest[some].tolist()
        return {
            key: hour for key, hour in zip(self.keys[some], hours, strict=True) if hour >= since
        }

    def _range_of(self, prefix: str) -> slice:
        first, end = map(self.keys.bisect_left, (prefix, prefix + _AFTER_ALL))
        return slice(first, end)


NEVER_READ = KeyIndex.of({}, float("-inf"))
"""Holds no key, and is older than any that was read."""
