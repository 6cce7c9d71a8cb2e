"""The options that several commands have.

A token is read from the environment or from a file, never from an argument: ``ps`` shows those.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

as_json: Callable[[Function], Function] = click.option(
    "--json", "is_json", is_flag=True, help="Print JSON, one object a line, for scripts."
)

collectors: Callable[[Function], Function] = click.option(
    "--collector-url",
    "urls",
    envvar=["METRICS_COLLECTOR_URL", "METRICS_COLLECTORS"],
    default="http://127.0.0.1:8000",
    show_default=True,
    help="Where to send to; several with commas between.  [env: METRICS_COLLECTOR_URL]",
)

query_service: Callable[[Function], Function] = click.option(
    "--query-url",
    "url",
    envvar="METRICS_QUERY_URL",
    default="http://127.0.0.1:8100",
    show_default=True,
    help="The query service.  [env: METRICS_QUERY_URL]",
)


def _read_token(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> str:
    if path is None:
        token = os.environ.get("METRICS_TOKEN", "").strip()
        where = "METRICS_TOKEN"
    else:
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"the token file cannot be read: {error}") from error
        where = f"the token in {path}"
        if not token:
            raise click.UsageError(f"{path} is empty, and should hold a token")
    if not (token.isascii() and token.isprintable()):
        raise click.UsageError(f"{where} must be one line of printable ASCII")
    return token


token: Callable[[Function], Function] = click.option(
    "--token-file",
    "token",
    type=click.Path(path_type=Path),
    envvar="METRICS_TOKEN_FILE",
    callback=_read_token,
    help="A file that holds the token; else METRICS_TOKEN.  [env: METRICS_TOKEN_FILE]",
)
