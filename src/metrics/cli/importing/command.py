"""``import``: reads its options, and shows how far it is."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.progress import Progress

from metrics.cli import delivery, options, screen
from metrics.cli.delivery import Collectors
from metrics.cli.failures import NoAnswerError, NotAllTakenError
from metrics.cli.importing.chunks import LINE_BYTES_MAX, name_of_beginning
from metrics.cli.importing.formats import FORMATS, Read, reader
from metrics.cli.importing.journal import Journal, JournalError
from metrics.cli.importing.run import ASK, SEND, SKIP, Counts, Import

JOURNAL = "metrics-import.journal"


@click.command("import")
@click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--format", "name", type=click.Choice(list(FORMATS)), required=True)
@click.option(
    "--key",
    help="The key of the messages: checkout.web-1 (nginx), checkout.{dyno} (router), "
    "{backend}.{server} (haproxy, if not given). A csv names its own.",
)
@click.option(
    "--tz",
    default="UTC",
    show_default=True,
    help="Zone of the times in a log of haproxy, which do not say theirs: Europe/Berlin.",
)
@click.option(
    "--journal",
    "journal_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Where to note what was imported.  [default: {JOURNAL} beside FILE]",
)
@click.option(
    "--unknown",
    type=click.Choice([ASK, SEND, SKIP]),
    default=ASK,
    show_default=True,
    help="What to do with lines of which nobody knows any more whether they count.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to go on trying while no collector takes a chunk.",
)
@options.as_json
@options.collectors
@options.token
def import_(
    path: Path,
    name: str,
    key: str | None,
    tz: str,
    journal_path: Path | None,
    unknown: str,
    wait_s: float,
    *,
    is_json: bool,
    urls: str,
    token: str,
) -> None:
    """Import the messages of FILE, which may be compressed (.gz), each with its own time.

    Stopped or killed, it goes on where it was when it is run again; imported twice, a file counts
    once, and one that has grown only by what is new. A journal beside the file knows.
    """
    to = ",".join(sorted(url.strip().rstrip("/") for url in urls.split(",")))
    format_ = FORMATS[name]
    with (
        closing(Collectors(urls, token, wait_s=wait_s, content_type=delivery.JSON)) as collectors,
        _opened(path) as file,
    ):
        read, key = _reader(name, key, tz, file)
        try:
            with Journal(journal_path or path.parent / JOURNAL) as journal:
                run = Import(
                    file,
                    beginning=name_of_beginning(name, key, tz),
                    format_=format_,
                    read=read,
                    collectors=collectors,
                    to=to,
                    journal=journal,
                    unknown=unknown,
                )
                _show_progress(run, path)
        except JournalError as error:
            raise NoAnswerError(str(error)) from error
    _print(path, run.counts, is_json=is_json)
    if run.counts.rejected:
        raise NotAllTakenError(f"{run.counts.rejected} rejected; the first: {run.counts.reason}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast("BinaryIO", file)
    except (gzip.BadGzipFile, EOFError) as error:
        raise NoAnswerError(f"{path} is not a whole file of gzip: {error}") from error


def _reader(name: str, key: str | None, tz: str, file: BinaryIO) -> tuple[Read, str]:
    """Return what reads lines, and how it makes keys.

    Raises:
        click.UsageError: If it cannot be made of these options.
    """
    key = key or FORMATS[name].key
    if name == "csv" and key:
        raise click.UsageError("a csv names the key of each message; --key is for logs")
    if name != "csv" and not key:
        raise click.UsageError(f"{name} needs --key, such as checkout.web-1 or checkout.{{dyno}}")
    first_line = file.readline(LINE_BYTES_MAX).decode("utf-8", "replace").rstrip("\r\n")
    try:
        return reader(name, key, ZoneInfo(tz), first_line), key
    except (ZoneInfoNotFoundError, OSError) as error:
        raise click.UsageError(f"--tz must be a zone such as Europe/Berlin, got {tz!r}") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _show_progress(run: Import, path: Path) -> None:
    size = None if path.suffix == ".gz" else os.stat(path).st_size
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(path.name, total=size)
        for at in run.run():
            progress.update(task, completed=at)


def _print(path: Path, counts: Counts, *, is_json: bool) -> None:
    if is_json:
        fields = {
            "accepted": counts.accepted,
            "rejected": counts.rejected,
            "bytes_before": counts.before,
            "lines_skipped": dict(counts.skipped),
        }
        click.echo(screen.json_line(fields))
        return
    parts = [f"{counts.accepted} accepted"]
    if counts.rejected:
        parts.append(f"{counts.rejected} rejected")
    parts += [
        f"{count} line{'' if count == 1 else 's'}: {why}" for why, count in counts.skipped.items()
    ]
    if counts.before:
        parts.append(f"{counts.before} bytes were imported before")
    if counts.open_line:
        parts.append("the last line has no end yet, and is left for the next time")
    click.echo(f"{path.name}: {'; '.join(parts)}")
