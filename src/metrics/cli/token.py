"""``token``: draws a token, and shows what one is good for."""

import sys

import click

from metrics.cli import options, screen
from metrics.tokens import new_token, prefixes_of, read_file


@click.group()
def token() -> None:
    """Draw a bearer token for the token files of the services, or look one up in them."""


@token.command()
@click.argument("prefix", default="")
@options.as_json
def new(prefix: str, *, is_json: bool) -> None:
    """Draw a token for all keys, or for those that begin with PREFIX.

    The line goes into METRICS_WRITE_TOKENS_FILE or METRICS_READ_TOKENS_FILE of a service, and
    SIGHUP lets its processes read the file again. The token goes to the client (METRICS_TOKEN); it
    is shown once, and cannot be had from the line.
    """
    secret, line = new_token(prefix.removesuffix("*"))
    if is_json:
        click.echo(screen.json_line({"token": secret, "line": line}))
    else:
        click.echo(f"token: {secret}\nline:  {line}")


@token.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@options.as_json
@options.token
def check(file: str, *, is_json: bool, token: str) -> None:
    """Show which keys a token is good for, by the lines of FILE; 1 if for none.

    The token comes from METRICS_TOKEN or a file of its own.
    """
    if not token:
        raise click.UsageError("which token? Set METRICS_TOKEN, or --token-file")
    prefixes = prefixes_of(token, read_file(file))
    if is_json:
        click.echo(screen.json_line({"prefixes": prefixes}))
    for prefix in [] if is_json else prefixes:
        click.echo(f"good for the keys {prefix}*" if prefix else "good for all keys")
    if not prefixes:
        if not is_json:
            click.echo(f"no line of {file} is of this token", err=True)
        sys.exit(1)
