"""Waiting for a condition, and never for a time."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02
"""Between two looks at the condition."""


def wait_until(check: Callable[[], T], timeout_s: float, what: str) -> T:
    """Return what ``check`` returns once it is true.

    Args:
        check: The condition.
        timeout_s: How long to wait at most.
        what: What is waited for, to be told if it does not come.

    Raises:
        TimeoutError: If it takes longer, with what ``check`` returned last.
    """
    give_up = monotonic() + timeout_s
    while not (found := check()):
        if monotonic() > give_up:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s; at last it was {found!r}")
        sleep(PAUSE_S)
    return found
