"""Signals that end a program which has started others."""

import signal
from typing import NoReturn


def interrupt_on_signals() -> None:
    """Let SIGTERM do what Ctrl-C does: raise KeyboardInterrupt, once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    """Stop once: what cleans up must not be interrupted by those who press Ctrl-C again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
