"""Numbers that all processes of a service count together, in memory that they share.

gunicorn's master makes the memory, and every process that it forks has a row of it to itself: one
writer for each number, so that counting takes no lock. Whoever is scraped adds all rows up. The
next process takes over the row of one that has ended and counts on from there: so no total ever
falls, and nothing grows, however often processes end. There are no files, and so nothing to clean
and nobody's rights to mind.

Source:
    mmap(2), ``MAP_SHARED`` and ``MAP_ANONYMOUS``: a child of ``fork`` has the same memory.
"""

import heapq
import logging
import mmap
from collections.abc import Sequence
from functools import cache
from typing import Self, TypeAlias

ROWS = 128
"""How many processes of a service may live at once, old ones that are being replaced included."""

CELLS = 4096
"""How many numbers a process has."""

_BYTES = 8

_Numbers: TypeAlias = "memoryview[float]"

_log = logging.getLogger(__name__)


class Cells:
    """Some numbers of a process, beside those of the others.

    Attributes:
        own: Those of this process, to be counted up in place; from 0.
    """

    def __init__(
        self, rows: Sequence[_Numbers], rows_used: _Numbers, row: int, cells: slice
    ) -> None:
        self.own = rows[row][cells]
        self._rows = rows
        self._rows_used = rows_used
        self._cells = cells

    def totals(self) -> list[float]:
        """Return the numbers of all processes, added up."""
        rows = self._rows[: int(self._rows_used[0])]
        return list(map(sum, zip(*(row[self._cells] for row in rows), strict=True)))


class SharedCells:
    """The memory, and which rows of it are free. One for each service.

    Args:
        rows: How many processes may count at once.
    """

    def __init__(self, rows: int = 1) -> None:
        memory = memoryview(mmap.mmap(-1, (rows * CELLS + 1) * _BYTES)).cast("d")
        self._rows = [memory[row * CELLS : (row + 1) * CELLS] for row in range(rows)]
        # In the memory, since a process that is forked early adds up the rows of later ones, too.
        self._rows_used = memory[rows * CELLS :]
        self._rows_used[0] = 1
        self._free = list(range(rows))
        self._last = rows - 1
        self._row = 0
        self._used = 0

    @classmethod
    @cache
    def of_service(cls) -> Self:
        """Return those of this service: made before gunicorn forks, the same in each process."""
        return cls(ROWS)

    def take_row(self) -> int:
        """Return a free row, which this process, or the one that it forks next, counts in."""
        if self._free:
            self._row = heapq.heappop(self._free)
        else:
            _log.warning("more than %d processes: some counts are too low", self._last + 1)
            self._row = self._last
        self._rows_used[0] = max(self._rows_used[0], self._row + 1)
        return self._row

    def give_back(self, row: int) -> None:
        """Note that the process has ended that counted in a row; its numbers stay."""
        if row not in self._free:
            heapq.heappush(self._free, row)

    def allot(self, number: int) -> Cells:
        """Return the next cells of this process' row.

        Each process has to ask for the same in the same order.

        Args:
            number: How many.

        Raises:
            ValueError: If there are not so many left.
        """
        cells = slice(self._used, self._used + number)
        if cells.stop > CELLS:
            raise ValueError(f"{cells.stop} numbers are more than the {CELLS} that there are")
        self._used = cells.stop
        return Cells(self._rows, self._rows_used, self._row, cells)
