"""``query``: a statistic of an hour, or of a day with its sparkline."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from metrics.cli import options, screen
from metrics.cli.failures import NoMessagesError
from metrics.cli.query_service import QueryService

BAR_WIDTH = 40

_NAMES_FIRST = ("key", "stat", "date", "hour")
_SEVERAL = ("summary", "histogram")
_SUMMARY_SHOWN = ("count", "min", "median", "p90", "p99", "max")


@click.command()
@click.argument("key")
@click.argument("stat", default="summary")
@click.argument("date", default="today")
@click.argument("hour", required=False)
@click.option("--tz", help="Days of that zone: Europe/Berlin.  [default: UTC]")
@click.option("--compare", help="Beside each hour, its value so much earlier: 1d, 7d, 28d.")
@options.as_json
@options.query_service
@options.token
def query(
    key: str,
    stat: str,
    date: str,
    hour: str | None,
    tz: str | None,
    compare: str | None,
    *,
    is_json: bool,
    url: str,
    token: str,
) -> None:
    """Ask for a statistic of KEY, or of all keys with a prefix: 'checkout.*'.

    STAT is summary (if not given), average, min, max, median, count, sum, histogram, a percentile
    such as p99.9, or a share such as under300. DATE is 2026-11-23, today (if not given), yesterday,
    or a range 2026-11-01..2026-11-23; HOUR is 0 to 23, or now. Without it, all hours and the whole.
    """
    place = [key, stat, date] if hour is None else [key, stat, date, hour]
    given = {"tz": tz, "compare": compare}
    with closing(QueryService(url, token)) as service:
        answer = service.get(*place, **{name: text for name, text in given.items() if text})
    if is_json:
        click.echo(screen.json_line(answer))
        return
    if "hours" in answer and not any(answer["hours"]):
        raise NoMessagesError(f"no messages of {key} in {date}")
    screen.console().print(_of_day(answer) if "hours" in answer else _of_hour(answer))


def _of_hour(answer: Mapping[str, Any]) -> RenderableType:
    title = f"{answer['key']}  {answer['stat']}  {answer['date']}T{answer['hour']:02} UTC"
    rows = [
        (name, value)
        for name, value in answer.items()
        if name not in _NAMES_FIRST and name != "buckets"
    ]
    shown: list[RenderableType] = [Text(title), screen.table(["", ""], rows)]
    if "buckets" in answer:
        shown.append(_buckets(answer["buckets"]))
    return Group(*shown)


def _buckets(buckets: Sequence[Sequence[float]]) -> RenderableType:
    highest = max(count for _, _, count in buckets)
    return screen.table(
        ["above", "to", "count", ""],
        [(lower, to, n, screen.bar(n, highest, BAR_WIDTH)) for lower, to, n in buckets],
    )


def _of_day(answer: Mapping[str, Any]) -> RenderableType:
    is_summary = answer["stat"] in _SEVERAL
    main = "median" if is_summary else "value"
    names = _SUMMARY_SHOWN if is_summary else ("value", "count")
    hours = answer["hours"]
    line = screen.sparkline([hour.get(main) if hour else None for hour in hours])
    when = answer.get("date") or f"{answer['from']}..{answer['to']}"
    title = f"{answer['key']}  {answer['stat']}  {when} {answer.get('tz', 'UTC')}  {line}"
    rows = [(_label(i, hour), hour) for i, hour in enumerate(hours) if hour is not None]
    if answer.get("whole") is not None:
        rows.append(("whole", answer["whole"]))
    columns = ["hour", *names, "complete"]
    cells = [[label, *map(numbers.get, names), numbers.get("complete")] for label, numbers in rows]
    if any("before" in numbers for _, numbers in rows):
        columns.append(f"{main} before")
        for row, (_, numbers) in zip(cells, rows, strict=True):
            row.append(_before(numbers.get("before"), main))
    return Group(Text(title.rstrip()), screen.table(columns, cells))


def _before(before: object, main: str) -> object:
    return before.get(main) if isinstance(before, Mapping) else before


def _label(i: int, hour: Mapping[str, Any]) -> str:
    text = f"{hour.get('hour', i):02}"
    return f"{hour['date']}T{text}" if "date" in hour else text
