"""The commands together, and how their errors end the process."""

import click

from metrics.cli.check import check
from metrics.cli.dead import dead
from metrics.cli.failures import NoAnswerError
from metrics.cli.importing.command import import_
from metrics.cli.keys import keys
from metrics.cli.query import query
from metrics.cli.send import send
from metrics.cli.status import status
from metrics.cli.tail import tail
from metrics.cli.token import token
from metrics.errors import MetricsError


class _CommandLine(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run the command; whatever error of ours it has is one line, and exit status 2."""
        try:
            return super().invoke(ctx)
        except MetricsError as error:
            raise NoAnswerError(str(error)) from error


@click.group(cls=_CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
def command_line() -> None:
    """Send response times, ask for statistics, and look after the pipeline.

    Exit status 0: done, and all is well. 1: the answer is no. 2: bad usage, or no answer.
    """


for command in (check, dead, import_, keys, query, send, status, tail, token):
    command_line.add_command(command)
