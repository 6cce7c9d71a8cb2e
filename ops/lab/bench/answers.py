"""How long the query service takes: ``python -m ops.lab.bench.answers``.

For hours of few and of many messages, days, months, and a prefix of many keys, each alone; then
for an hour beside somebody else's month, and while messages come in. One query process. Hours are
full: lognormal values, ten a second, if nothing else is said.
"""

from collections.abc import Iterator
from contextlib import closing, nullcontext
from itertools import product
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

import click
from tabulate import tabulate

from metrics.hours import Hour
from ops.lab.key_hours import aggregate_of, write_key_hour
from ops.lab.load.plan import Load, Plan
from ops.lab.quantiles import in_words
from ops.lab.system import System, embedded_redis, path_of

KEY = "checkout.web-1"
MESSAGES = 36_000
"""Of an hour, ten a second: its hash is full."""

SIZES = (1_000, 1_000_000, 36_000_000)
"""Messages of an hour: from one app that rests to ten thousand a second."""

SIZES_PER_S, SIZES_CONNECTIONS = 200.0, 4
"""Of questions for these; all others are asked one after the other."""

DAYS = 31
FLEET = 30
"""Keys of a prefix whose month somebody else asks for: nearly 24,000 key-hours."""

WIDE = 1_000
"""Keys of a prefix in one hour."""


class Asked:
    """A system whose hours are filled, and which is asked.

    Args:
        system: It is up, and nobody else uses it.
        seconds: How long each question is asked.
    """

    def __init__(self, system: System, seconds: float) -> None:
        self._system = system
        self._seconds = seconds
        self._now = Hour.of(time())
        self._today = Hour(self._now.number // 24 * 24)

    def rows(self, rows_per_s: float) -> Iterator[tuple[str, str]]:
        """Yield each question and how long its answers took.

        Args:
            rows_per_s: Messages that come in beside the last question.
        """
        for size in SIZES:
            path = self._filled(f"sized-{size}.web-1", size)
            took = self._took(path, per_s=SIZES_PER_S, connections=SIZES_CONNECTIONS)
            yield f"an hour of {size:,} messages, {SIZES_PER_S:g} times a second", took
        for number in range(WIDE):
            self._filled(f"wide.app-{number}")
        yield f"a prefix of {WIDE:,} keys", self._took(f"/wide.*/median/{path_of(self._now)}")
        yield from self._of_days()
        ingest = Plan(
            port=self._system.collectors[0].port,
            form="rows",
            batch=1000,
            has_keys=False,
            messages_per_s=rows_per_s,
            seconds=2 * self._seconds,
        )
        paths = [self._filled(key) for key in ingest.key_names]
        name = f"an hour while {rows_per_s:,.0f} messages/s come in"
        yield name, self._took(paths[0], ingest, per_s=SIZES_PER_S, connections=SIZES_CONNECTIONS)

    def _of_days(self) -> Iterator[tuple[str, str]]:
        days = [Hour(self._today.number - 24 * ago) for ago in range(2 * DAYS + 1)]
        fleet = [f"fleet.web-{number}" for number in range(1, FLEET + 1)]
        for key, day in [*product([KEY], days), *product(fleet, days[: DAYS + 1])]:
            for number in range(day.number, day.number + 24):
                self._filled(key, hour=Hour(number))
        yesterday, first = (path_of(each).partition("/")[0] for each in (days[1], days[DAYS]))
        month, an_hour = f"{first}..{yesterday}", f"/{KEY}/median/{path_of(days[1])}"
        for name, path in {
            "an hour": an_hour,
            "a day": f"/{KEY}/histogram/{yesterday}",
            "a day, and the day before": f"/{KEY}/histogram/{yesterday}?compare=1d",
            f"{DAYS} days": f"/{KEY}/summary/{month}",
            f"{DAYS} days, and those before": f"/{KEY}/summary/{month}?compare={DAYS}d",
        }.items():
            yield name, self._took(path)
        others = self._plan(f"/fleet.*/summary/{month}")
        yield f"an hour beside a month of {FLEET} keys", self._took(an_hour, others)

    def _filled(self, key: str, messages: int = MESSAGES, *, hour: Hour | None = None) -> str:
        """Write a key-hour, of now if nothing else is said; return the path of its median."""
        system, hour = self._system, hour or self._now
        aggregate = aggregate_of(messages, 1.0)
        write_key_hour(system.connection, len(system.partitions), key, hour, aggregate)
        return f"/{key}/median/{path_of(hour)}"

    def _took(
        self, path: str, beside: Plan | None = None, *, per_s: float = inf, connections: int = 1
    ) -> str:
        """Ask for a path, perhaps beside another load; return how long that took."""
        plan = self._plan(path, per_s=per_s, connections=connections)
        self._system.query.get(path)
        with Load(beside) if beside else nullcontext(), Load(plan) as load:
            last = load.last()
        if last.errors:
            raise click.ClickException(f"GET {path} is answered {last.statuses}")
        return in_words(last.took_ns)

    def _plan(self, path: str, *, per_s: float = inf, connections: int = 1) -> Plan:
        return Plan(
            port=self._system.query.port,
            paths=[path],
            has_keys=False,
            messages_per_s=per_s,
            connections=connections,
            seconds=self._seconds,
        )


@click.command(help=__doc__)
@click.option("--seconds", default=5.0, show_default=True, help="Of each question.")
@click.option("--rows", default=100_000.0, show_default=True, help="Messages/s that come in.")
def main(seconds: float, rows: float) -> None:
    """Print a table."""
    with (
        embedded_redis() as redis,
        TemporaryDirectory() as folder,
        closing(System(redis, Path(folder))) as system,
    ):
        asked = Asked(system.start(), seconds)
        click.echo(tabulate(asked.rows(rows), ("question", "took")))


if __name__ == "__main__":
    main()
