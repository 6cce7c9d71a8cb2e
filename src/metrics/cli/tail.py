"""``tail``: live rates by key, until Ctrl-C."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import click
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from metrics.cli import options, screen
from metrics.cli.failures import NoMessagesError
from metrics.cli.keys import known_keys
from metrics.cli.query_service import QueryService
from metrics.cli.rates import Rates
from metrics.hours import Hour

KEYS_MAX = 100
"""Keys that are asked for each time: each is a question of its own."""

LISTED_MAX = 5000
"""Keys that are looked through for those with messages in this hour."""


@dataclass(frozen=True, slots=True)
class KeyRate:
    """What is shown of a key.

    Attributes:
        key: The key.
        per_second: Messages per second since the last reading; None at the first.
        count: Its messages in this hour.
        median: Of this hour so far; None without messages.
        p99: The same.
    """

    key: str
    per_second: float | None
    count: int
    median: float | None
    p99: float | None


Reading = tuple[list[KeyRate], bool]
"""What is to be shown, and whether keys were left out."""


@click.command()
@click.argument("prefix", default="")
@click.option(
    "--every",
    "pause_s",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two readings.",
)
@click.option("--times", type=click.IntRange(min=1), help="Stop after so many readings.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many keys to show, those with the highest rates.",
)
@options.as_json
@options.query_service
@options.token
def tail(
    prefix: str,
    pause_s: float,
    times: int | None,
    limit: int,
    *,
    is_json: bool,
    url: str,
    token: str,
) -> None:
    """Show how many messages per second each key gets, as they are counted.

    PREFIX is the beginning of the keys. At most 100 keys are looked at, in their order.
    """
    with closing(QueryService(url, token)) as service, suppress(KeyboardInterrupt):
        _show(_readings(service, prefix.removesuffix("*"), pause_s, times), limit, is_json=is_json)


def _show(readings: Iterator[Reading], limit: int, *, is_json: bool) -> None:
    if is_json:
        for keys, _ in readings:
            click.echo(screen.json_line({"time": time.time(), "keys": list(map(_fields, keys))}))
    elif sys.stdout.isatty():
        with Live(console=screen.console(width=None), auto_refresh=False) as live:
            for keys, is_cut in readings:
                live.update(_table(keys, limit, is_cut=is_cut), refresh=True)
    else:
        for keys, is_cut in readings:
            screen.console().print(_table(keys, limit, is_cut=is_cut))


def _readings(
    service: QueryService, prefix: str, pause_s: float, times: int | None
) -> Iterator[Reading]:
    """Yield a reading again and again."""
    hour = Hour.of(time.time())
    rates = Rates(str(hour))
    last_at: float | None = None
    number = 0
    while times is None or number < times:
        if number:
            time.sleep(pause_s)
        number += 1
        before, hour = hour, Hour.of(time.time())
        now = time.monotonic()
        elapsed_s = None if last_at is None else now - last_at
        last_at = now
        listed = list(islice(_of_hour(service, prefix, before), KEYS_MAX + 1))
        hours = sorted({before, hour})
        keys = [_read(service, rates, key, hours, elapsed_s) for key in listed[:KEYS_MAX]]
        yield keys, len(listed) > KEYS_MAX


def _of_hour(service: QueryService, prefix: str, hour: Hour) -> Iterator[str]:
    for each in known_keys(service, prefix, LISTED_MAX):
        if each["newest_hour"] >= str(hour):
            yield each["key"]


def _read(
    service: QueryService, rates: Rates, key: str, hours: Sequence[Hour], elapsed_s: float | None
) -> KeyRate:
    answers = {str(hour): _summary(service, key, hour) for hour in hours}
    counts = {hour: answer.get("count", 0) for hour, answer in answers.items()}
    new = rates.growth(key, counts)
    now = answers[str(hours[-1])]
    per_second = None if new is None or not elapsed_s else new / elapsed_s
    return KeyRate(key, per_second, now.get("count", 0), now.get("median"), now.get("p99"))


def _summary(service: QueryService, key: str, hour: Hour) -> dict[str, Any]:
    day, _, number = str(hour).partition("T")
    try:
        answer: dict[str, Any] = service.get(key, "summary", day, number)
    except NoMessagesError:
        return {}
    return answer


def _table(keys: Sequence[KeyRate], limit: int, *, is_cut: bool) -> RenderableType:
    if not keys:
        return Text("no messages in this hour yet")
    ordered = sorted(keys, key=lambda each: -(each.per_second or 0.0))
    rows = [tuple(_fields(each).values()) for each in ordered[:limit]]
    if is_cut:
        rows.append((f"more than {KEYS_MAX} keys: name a prefix", None, None, None, None))
    return screen.table(["key", "per second", "this hour", "median", "p99"], rows)


def _fields(each: KeyRate) -> dict[str, object]:
    return {
        "key": each.key,
        "per_second": each.per_second,
        "count": each.count,
        "median": each.median,
        "p99": each.p99,
    }
