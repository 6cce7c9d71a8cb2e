"""How a command ends that could not do what it was asked: its words, and its exit status."""

import click


class NoAnswerError(click.ClickException):
    """Nobody answered, or not what was asked: exit status 2, as for bad usage."""

    exit_code = 2


class NoMessagesError(click.ClickException):
    """There is an answer: no messages. Exit status 1."""

    exit_code = 1


class NotAllTakenError(click.ClickException):
    """Some messages were refused, and the others count: exit status 1."""

    exit_code = 1
