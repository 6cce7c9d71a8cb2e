"""Waiting for a condition, and never for a time."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02
"""Between two looks at the condition."""

PATIENCE_S = 60.0
"""Whatever takes so long does not come, on a busy machine as well."""


def wait_until(
    check: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "what is waited for"
) -> T:
    """Return what ``check`` returns once it is true.

    Args:
        check: The condition.
        timeout_s: How long to wait at most.
        what: What is waited for, for the error.

    Raises:
        TimeoutError: If it takes longer, with what ``check`` returned last.
    """
    deadline = monotonic() + timeout_s
    while not (result := check()):
        if monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s; at last it was {result!r}")
        sleep(PAUSE_S)
    return result
