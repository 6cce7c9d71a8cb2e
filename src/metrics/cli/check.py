"""``check``: whether conditions hold, for cron and CI."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from metrics.cli import options, screen
from metrics.cli.condition import Condition
from metrics.cli.failures import NoAnswerError, NoMessagesError
from metrics.cli.query_service import QueryService
from metrics.errors import InvalidQueryError
from metrics.hours import Hour

LAST = "last"


@click.command()
@click.argument("key")
@click.argument("conditions", nargs=-1, required=True)
@click.option(
    "--hour",
    default=LAST,
    show_default=True,
    help="last: the last one that is over; now; 0 to 23 of today; or 2026-11-23T14. In UTC.",
)
@click.option("--date", help="The whole of a day: 2026-11-23, today or yesterday.")
@click.option("--verbose", "-v", is_flag=True, help="Print a line also for what holds.")
@options.as_json
@options.query_service
@options.token
def check(
    key: str,
    conditions: tuple[str, ...],
    hour: str,
    date: str | None,
    *,
    verbose: bool,
    is_json: bool,
    url: str,
    token: str,
) -> None:
    """Check that CONDITIONS such as 'p99<300' hold of KEY, or of all keys of a prefix.

    Exit status 0: all hold. 1: one does not; a line says which. 2: bad usage, no answer, or no
    messages to check.
    """
    try:
        parsed = [Condition.parse(text) for text in conditions]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if date is not None and hour != LAST:
        raise click.UsageError("--hour and --date exclude each other")
    place = [date] if date is not None else _place_of(hour)
    with closing(QueryService(url, token)) as service:
        results = [(condition, _ask(service, key, condition.stat, place)) for condition in parsed]
    for condition, answer in results:
        holds = condition.holds(answer["value"])
        if is_json:
            line = {"condition": condition.text, "holds": holds, "key": key, **answer}
            click.echo(screen.json_line(line))
        elif verbose or not holds:
            click.echo(_sentence(key, condition, answer, holds=holds))
    if not all(condition.holds(answer["value"]) for condition, answer in results):
        click.get_current_context().exit(1)


def _place_of(hour: str) -> list[str]:
    """Return date and hour, as the path of a question has them.

    Raises:
        click.UsageError: If the hour is none.
    """
    if hour == "now":
        return ["today", "now"]
    if hour == LAST:
        day, _, number = str(Hour(Hour.of(time.time()).number - 1)).partition("T")
        return [day, number]
    if "T" not in hour:
        return ["today", hour]
    try:
        day, _, number = str(Hour.parse(hour)).partition("T")
    except InvalidQueryError as error:
        raise click.UsageError(f"--hour: {error}") from error
    return [day, number]


def _ask(service: QueryService, key: str, stat: str, place: list[str]) -> Mapping[str, Any]:
    """Return the answer of an hour, or of the whole of a day.

    Raises:
        NoAnswerError: If there is no number to check.
    """
    try:
        answer: dict[str, Any] = service.get(key, stat, *place)
    except NoMessagesError as error:
        raise NoAnswerError(f"nothing to check: {error.message}") from error
    if "hours" in answer:
        whole = answer.pop("whole")
        if whole is None:
            raise NoAnswerError(f"nothing to check: no messages of {key} in {answer['date']}")
        answer = {name: value for name, value in answer.items() if name != "hours"} | whole
    if not isinstance(answer.get("value"), int | float):
        raise NoAnswerError(f"nothing to check: {stat} is not one number, as p99 and average are")
    return answer


def _sentence(key: str, condition: Condition, answer: Mapping[str, Any], *, holds: bool) -> str:
    when = answer["date"] + (f"T{answer['hour']:02}" if "hour" in answer else "")
    verb = "holds" if holds else "does not hold"
    still = "" if answer.get("complete", True) else ", which is not complete yet"
    return (
        f"{key}: {condition.text} {verb}: {condition.stat} is {screen.number(answer['value'])} "
        f"of {answer['count']} messages in {when} UTC{still}"
    )
