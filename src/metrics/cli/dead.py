"""``dead``: the dead letters, to be listed, retried or dropped."""

import re
from collections.abc import Callable, Iterator

import click

from metrics.cli import options, pipeline, screen
from metrics.cli.failures import NotAllTakenError
from metrics.dead_letters import BEGINNING, DeadLetter, DeadLetters
from metrics.errors import MetricsError
from metrics.shown import LENGTH_MAX

PAGE = 100

_ADDRESS = re.compile(r"(\d{1,5})/(\d{1,20}-\d{1,20})", re.ASCII)

Address = tuple[int, bytes]
"""Partition, and id in its dead stream."""


@click.group()
def dead() -> None:
    """List, retry or drop dead letters, in the Redis of REDIS_URL.

    Each is named as 7/1764000000000-0: its partition, and its id in the dead stream.
    """


@dead.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@options.as_json
def list_(limit: int, *, is_json: bool) -> None:
    """List dead letters: why they are there, and what is in them."""
    with pipeline.opened() as found:
        letters = DeadLetters(found.connection)
        rows = []
        for letter in _all(letters, found.partitions, limit):
            if is_json:
                click.echo(screen.json_line(_fields(letter)))
            else:
                rows.append((_name(letter), _printable(letter.reason), _content(letter)))
    if rows:
        screen.console().print(screen.table(["dead letter", "reason", "content"], rows))
    elif not is_json:
        click.echo("no dead letters")


@dead.command()
@click.argument("names", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are.")
@options.as_json
def retry(names: tuple[str, ...], *, is_all: bool, is_json: bool) -> None:
    """Move dead letters back into the stream, to be read once more.

    First put right what was wrong: upgrade the workers, or mend the hash that the reason names.
    What still cannot be counted comes back. The audit balances at every instant.
    """
    _each(names, DeadLetters.retry, "retried", is_all=is_all, is_json=is_json)


@dead.command()
@click.argument("names", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.as_json
def drop(names: tuple[str, ...], *, is_all: bool, yes: bool, is_json: bool) -> None:
    """Delete dead letters: their messages are lost. The audit goes on to count them as dead."""
    if not yes:
        what = "all dead letters" if is_all else f"{len(names)} dead letters"
        click.confirm(f"Delete {what} for good?", abort=True, err=True)
    _each(names, DeadLetters.drop, "dropped", is_all=is_all, is_json=is_json)


def _each(
    names: tuple[str, ...],
    act: Callable[[DeadLetters, int, bytes], bool],
    done: str,
    *,
    is_all: bool,
    is_json: bool,
) -> None:
    if bool(names) == is_all:
        raise click.UsageError("name dead letters, as dead list shows them, or say --all")
    addresses = [_address(name) for name in names]
    count, missing = 0, []
    with pipeline.opened() as found:
        letters = DeadLetters(found.connection, replicas=found.settings.wait_replicas)
        if is_all:
            # Listed before the first: what comes back meanwhile is not retried for ever.
            addresses = [(each.partition, each.id) for each in _all(letters, found.partitions)]
        for partition, id_ in addresses:
            try:
                is_done = act(letters, partition, id_)
            except MetricsError as error:
                raise type(error)(f"{partition}/{id_.decode()}: {error}") from error
            count += is_done
            if not is_done:
                missing.append(f"{partition}/{id_.decode()}")
    if is_json:
        click.echo(screen.json_line({done: count, "missing": missing}))
    else:
        click.echo(f"{count} {done}")
    if missing and not is_all:
        raise NotAllTakenError(f"not there: {', '.join(missing)}")


def _all(letters: DeadLetters, partitions: range, limit: int | None = None) -> Iterator[DeadLetter]:
    number = 0
    for partition in partitions:
        after = BEGINNING
        while page := letters.page(partition, after, PAGE):
            for letter in page:
                if number == limit:
                    return
                number += 1
                yield letter
            after = page[-1].id


def _address(name: str) -> Address:
    found = _ADDRESS.fullmatch(name)
    if found is None:
        raise click.UsageError(f"a dead letter is named 7/1764000000000-0, got {name!r}")
    return int(found[1]), found[2].encode()


def _name(letter: DeadLetter) -> str:
    return f"{letter.partition}/{letter.id.decode()}"


def _content(letter: DeadLetter) -> str:
    """Return its fields and texts, short."""
    pairs = zip(letter.fields[::2], letter.fields[1::2], strict=False)
    text = " ".join(f"{_printable(field)} {_printable(text)}" for field, text in pairs)
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 3] + "..."


def _printable(text: bytes) -> str:
    """Return what anybody may have written, with nothing that a terminal obeys."""
    return ascii(text.decode(errors="replace"))[1:-1]


def _fields(letter: DeadLetter) -> dict[str, object]:
    texts = [text.decode(errors="replace") for text in letter.fields]
    return {
        "name": _name(letter),
        "entry": letter.entry_id.decode(errors="replace"),
        "reason": letter.reason.decode(errors="replace"),
        "fields": list(zip(texts[::2], texts[1::2], strict=False)),
    }
