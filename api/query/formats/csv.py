"""An answer as CSV: hours as rows, of a histogram each bucket as a row.

Source:
    RFC 4180.
"""

import csv
import io
from collections.abc import Iterator

from api.query.formats.table import Table, buckets_of

_BESIDE = ("count", "dropped", "late", "keys", "complete", "as_of", "before")
_BUCKETS = ("date", "hour", "lower", "upper", "count")


def write_csv(table: Table) -> str:
    """Return the rows of an answer, with their names in the first."""
    text = io.StringIO()
    csv.writer(text).writerows(_bucket_rows(table) if table.has_buckets else _rows(table))
    return text.getvalue()


def _rows(table: Table) -> Iterator[tuple[object, ...]]:
    # A summary is compared with many numbers, which fit in no cell.
    is_number = list(table.names) == ["value"]
    names = [*table.names, *(_BESIDE if is_number else _BESIDE[:-1])]
    yield ("date", "hour", *names)
    for date, hour, row in table.rows():
        yield (date, hour, *(_cell((row or {}).get(name)) for name in names))


def _bucket_rows(table: Table) -> Iterator[tuple[object, ...]]:
    yield _BUCKETS
    for date, hour, row in table.rows():
        for bucket in buckets_of(row):
            yield (date, hour, *bucket)


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
