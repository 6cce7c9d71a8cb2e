"""An answer as a table: what it is of, and a row for each of its hours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metrics.bucket_rows import BucketRow, BucketRows

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """An answer about a statistic.

    Attributes:
        answer: What JSON would have.
        names: The members of the statistic: ``value``, or those of a summary or a histogram.
        labels: Of each hour the date and the hour of the day.
        hours: Of each hour its object, or None if there is nothing.
        pause: Called between rows: others have a turn then.
    """

    answer: Row
    names: Sequence[str]
    labels: Sequence[tuple[str, int]]
    hours: Sequence[Row | None]
    pause: Callable[[], None] = lambda: None

    @property
    def title(self) -> str:
        """What it is of, in a line."""
        answer = self.answer
        period = answer.get("date") or f"{answer['from']}..{answer['to']}"
        return f"{answer['key']} {answer['stat']} {period} {answer.get('tz', 'UTC')}"

    @property
    def whole(self) -> Row | None:
        """The object of all hours together: that of the hour, if it is one alone."""
        whole = self.answer.get("whole", self.answer)
        return whole if isinstance(whole, Mapping) else None

    @property
    def has_buckets(self) -> bool:
        """Whether it is of histograms."""
        return "buckets" in self.names

    def rows(self) -> Iterator[tuple[str, int, Row | None]]:
        """Yield for each hour its date, the hour of the day, and its object."""
        for (date, hour), row in zip(self.labels, self.hours, strict=True):
            yield date, hour, row
            self.pause()


def number_of(row: Row | None, name: str) -> float | None:
    """Return a number of an hour, if it is there."""
    value = row.get(name) if row else None
    return float(value) if isinstance(value, int | float) else None


def buckets_of(row: Row | None) -> Sequence[BucketRow]:
    """Return the buckets of an hour; none if it has no messages."""
    buckets = row.get("buckets") if row else None
    return buckets if isinstance(buckets, BucketRows) else []


def short(number: float | None) -> str:
    """Return a number as people read it: four digits, or all before the point."""
    if number is None:
        return "-"
    if number >= 1e15:
        return f"{number:.3e}"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"
