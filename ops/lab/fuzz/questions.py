"""What is written in a path or a parameter: statistics, days, hours, zones."""

from dataclasses import dataclass

from api.query.statistic_query import StatisticQuery, parse_hour
from metrics.aggregate import Aggregate
from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.period import Period
from ops.lab.fuzz.bodies import ARRIVAL
from ops.lab.fuzz.target import Pause, Target, require

VALUES = [0.0, 1.0, 5e-324, 1e300, 123.4]


@dataclass(frozen=True, slots=True)
class _Question:
    """What a path asks.

    Attributes:
        query: What of which key.
        period: Of when.
        hours: The hours of the period.
        hour_of_day: Which of them, if it is one.
    """

    query: StatisticQuery
    period: Period
    hours: list[Hour]
    hour_of_day: int | None


def _read(data: bytes, pause: Pause) -> _Question:
    fields = dict(enumerate(data.decode("utf-8", "replace").split("\n", 5)))
    key, stat, day, hour, zone, compare = (fields.get(number, "") for number in range(6))
    parameters = {"tz": zone, "compare": compare}
    query = StatisticQuery.parse(key, stat, {n: text for n, text in parameters.items() if text})
    period = Period.parse(day, ARRIVAL, query.zone)
    pause()
    hours = [each.hour for each in period.hours()]
    pause()
    list(period.matching(query.before(period)))
    pause()
    return _Question(query, period, hours, parse_hour(hour, day, ARRIVAL) if hour else None)


def _check(_: bytes, asked: _Question) -> None:
    period, hours = asked.period, asked.hours
    written = f"{period.first}..{period.last}"
    again = Period.parse(written, ARRIVAL, period.zone)
    require((again.first, again.last) == (period.first, period.last), "days differ", written)
    require(len(hours) <= 31 * 24 + 1, "a period has too many hours", period)
    require(hours == sorted(set(hours)), "hours come twice, or not in order", period)
    require(asked.hour_of_day is None or 0 <= asked.hour_of_day < 24, "no hour of a day", asked)
    for hour in hours[:1]:
        # Before the year 1000 a platform may write a year without its zeros.
        if period.first.year >= 1000:
            require(Hour.parse(str(hour)) == hour, "an hour reads otherwise", hour)
    aggregate = Aggregate.of(VALUES)
    told = asked.query.statistic.members(aggregate)
    require(tuple(told) == asked.query.statistic.names, "a name is missing", told)
    numbers = [value for value in told.values() if isinstance(value, int | float)]
    require(all(0 <= number <= 1e301 for number in numbers), "no number of theirs", told)


PATH: Target[_Question] = Target(
    _read,
    (InvalidQueryError,),
    _check,
    [
        b"checkout.a\nmedian\n2026-11-23\n14",
        b"checkout.*\np99.9\nyesterday..today\n\nEurope/Berlin\n7d",
        b"*\nunder300.5\ntoday\nnow\nAmerica/St_Johns",
        b"a\nsummary\n2026-03-01..2026-03-31\n07\nAustralia/Lord_Howe\n28d",
        b"a\nhistogram\n0001-01-01\n0\nPacific/Apia\n999d",
        b"a\nover1\n9999-12-31\n23\nEtc/GMT+12",
    ],
)
