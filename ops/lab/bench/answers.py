"""How long the query service takes for an hour, a day and a month, and for an hour beside a month.

``python -m ops.lab.bench.answers``. One query process; hours are full: lognormal values, ten a
second.
"""

from collections.abc import Sequence
from http import HTTPStatus
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, time

import click
from tabulate import tabulate

from metrics.hours import Hour
from ops.lab.key_hours import aggregate_of, write_key_hour
from ops.lab.quantiles import Quantiles, in_words
from ops.lab.service import Service
from ops.lab.system import System, embedded_redis, path_of

KEY = "checkout.web-1"
MESSAGES = 36_000
"""Of an hour, ten a second: its hash is full."""

DAYS = 31
FLEET = 30
"""Keys of a prefix whose month somebody else asks for: nearly 24,000 key-hours."""


def _fill(system: System, days: Sequence[Hour]) -> None:
    partitions = len(system.partitions)
    full = aggregate_of(MESSAGES, 1.0)
    fleet = [f"fleet.web-{number}" for number in range(1, FLEET + 1)]
    for key, day in [*product([KEY], days), *product(fleet, days[: DAYS + 1])]:
        for number in range(day.number, day.number + 24):
            write_key_hour(system.connection, partitions, key, Hour(number), full)


def _took_ns(query: Service, path: str) -> float:
    begun = perf_counter()
    answer = query.get(path)
    took_s = perf_counter() - begun
    if answer.status != HTTPStatus.OK:
        raise click.ClickException(f"GET {path} is answered {answer.status}: {answer.body[:200]!r}")
    return took_s * 1e9


def _asked(query: Service, path: str, seconds: float) -> Quantiles:
    _took_ns(query, path)
    until = perf_counter() + seconds
    took = [_took_ns(query, path)]
    while perf_counter() < until:
        took.append(_took_ns(query, path))
    return Quantiles.of(took)


def _asked_beside(query: Service, path: str, other: str, seconds: float) -> Quantiles:
    """Ask while somebody else asks another question, again and again."""
    ended = Event()

    def ask_the_other() -> None:
        while not ended.is_set():
            _took_ns(query, other)

    asking = Thread(target=ask_the_other)
    asking.start()
    try:
        return _asked(query, path, seconds)
    finally:
        ended.set()
        asking.join()


@click.command(help=__doc__)
@click.option("--seconds", default=5.0, show_default=True, help="Of each question.")
def main(seconds: float) -> None:
    """Print a table."""
    today = Hour(Hour.of(time()).number // 24 * 24)
    days = [Hour(today.number - 24 * ago) for ago in range(2 * DAYS + 1)]
    hour, day = path_of(days[1]), date_of(days[1])
    month = f"{date_of(days[DAYS])}..{day}"
    questions = {
        "an hour": f"/{KEY}/median/{hour}",
        "a day": f"/{KEY}/histogram/{day}",
        "a day, and the day before": f"/{KEY}/histogram/{day}?compare=1d",
        f"{DAYS} days": f"/{KEY}/summary/{month}",
        f"{DAYS} days, and those before": f"/{KEY}/summary/{month}?compare={DAYS}d",
    }
    fleet = f"/fleet.*/summary/{month}"
    with embedded_redis() as redis, TemporaryDirectory() as folder:
        system = System(redis, Path(folder), workers=0, collectors=0)
        try:
            system.start()
            _fill(system, days)
            rows = [
                (name, in_words(_asked(system.query, path, seconds)))
                for name, path in questions.items()
            ]
            beside = _asked_beside(system.query, questions["an hour"], fleet, seconds)
            rows.append((f"an hour beside a month of {FLEET} keys", in_words(beside)))
        finally:
            system.close()
    click.echo(tabulate(rows, ("question", "took")))


def date_of(hour: Hour) -> str:
    """Return the date of an hour as a path has it, ``2026-11-23``."""
    return path_of(hour).partition("/")[0]


if __name__ == "__main__":
    main()
