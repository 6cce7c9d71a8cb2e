"""``keys``: which keys there are, and the newest hour of each."""

from collections.abc import Iterator
from contextlib import closing

import click

from metrics.cli import options, screen
from metrics.cli.query_service import QueryService

PAGE = 1000


@click.command()
@click.argument("prefix", default="")
@click.option("--limit", type=click.IntRange(min=1), help="How many keys at most.")
@options.as_json
@options.query_service
@options.token
def keys(prefix: str, limit: int | None, *, is_json: bool, url: str, token: str) -> None:
    """List the known keys, in order, each with its newest hour (UTC).

    PREFIX is the beginning of the keys; a * at its end may stand there.
    """
    found = []
    with closing(QueryService(url, token)) as service:
        for each in known_keys(service, prefix.removesuffix("*"), limit):
            if is_json:
                click.echo(screen.json_line(each))
            else:
                found.append((each["key"], each["newest_hour"]))
    if found:
        screen.console().print(screen.table(["key", "newest hour"], found))
    elif not is_json:
        click.echo("no keys" + (f" begin with {prefix}" if prefix else ""), err=True)


def known_keys(service: QueryService, prefix: str, limit: int | None) -> Iterator[dict[str, str]]:
    """Yield the keys with a prefix, page by page.

    Raises:
        NoAnswerError: If the service does not answer.
    """
    after = ""
    left = limit
    while left is None or left > 0:
        length = PAGE if left is None else min(left, PAGE)
        parameters = {"after": after} if after else {}
        page = service.get("keys", prefix=prefix, limit=length, **parameters)
        yield from page["keys"]
        if page["next"] is None:
            return
        after = page["next"]
        left = None if left is None else left - length
