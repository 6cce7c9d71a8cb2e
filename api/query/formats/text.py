"""An answer as text for a terminal: hours as lines, with bars in 80 columns if they are numbers."""

from collections.abc import Iterable, Iterator

from api.query.formats.table import Row, Table, buckets_of, number_of, short
from metrics.bucket_rows import BucketRow

BAR_WIDTH = 40
BUCKET_LINES_MAX = 24

_EIGHTHS = " ▏▎▍▌▋▊▉"


def write_text(table: Table) -> str:
    """Return the lines of an answer."""
    if table.has_buckets:
        lines = _histogram_lines(buckets_of(table.whole))
    elif list(table.names) == ["value"]:
        lines = _bar_lines(table)
    else:
        lines = _column_lines(table)
    return "\n".join([table.title, *lines, ""])


def _bar_lines(table: Table) -> Iterator[str]:
    values = [number_of(row, "value") for row in table.hours]
    largest = max((value for value in values if value is not None), default=0.0)
    for label, value, row in zip(_labels(table), values, table.hours, strict=True):
        bar = _bar(value, largest)
        yield f"{label} {short(value):>11} {bar:{BAR_WIDTH}} {_count(row)}".rstrip()
    if "whole" in table.answer:
        whole = table.whole
        value = number_of(whole, "value")
        yield f"{'whole':{_label_width(table)}} {short(value):>11} {'':{BAR_WIDTH}} {_count(whole)}"


def _column_lines(table: Table) -> Iterator[str]:
    yield " " * _label_width(table) + "".join(f"{name:>9}" for name in (*table.names, "count"))
    rows = list(zip(_labels(table), table.hours, strict=True))
    if "whole" in table.answer:
        rows.append((f"{'whole':{_label_width(table)}}", table.whole))
    for label, row in rows:
        cells = [f"{short(number_of(row, name)):>9}" for name in (*table.names, "count")]
        yield f"{label}{''.join(cells)}{_incomplete(row)}"


def _histogram_lines(rows: Iterable[BucketRow]) -> Iterator[str]:
    """Yield a line for some neighbouring buckets each, so that all fit on a screen."""
    buckets = list(rows)
    size = -(-len(buckets) // BUCKET_LINES_MAX) or 1
    groups = [buckets[at : at + size] for at in range(0, len(buckets), size)]
    counts = [sum(count for _, _, count in group) for group in groups]
    for group, count in zip(groups, counts, strict=True):
        ends = f"{short(group[0][0]):>10} - {short(group[-1][1]):>10}"
        yield f"{ends} {_bar(count, max(counts)):{BAR_WIDTH}} {count:>11,}"


def _labels(table: Table) -> Iterable[str]:
    has_dates = table.labels[0][0] != table.labels[-1][0]
    return [f"{date} {hour:02}" if has_dates else f"{hour:02}:00" for date, hour in table.labels]


def _label_width(table: Table) -> int:
    return len(next(iter(_labels(table))))


def _bar(value: float | None, largest: float) -> str:
    eighths = round(BAR_WIDTH * 8 * value / largest) if value and largest else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _count(row: Row | None) -> str:
    count = number_of(row, "count")
    return "" if count is None else f"{count:>11,.0f}{_incomplete(row)}"


def _incomplete(row: Row | None) -> str:
    return " so far" if row and not row.get("complete") else ""
