"""A log that an outsider cannot fill: each kind of thing is said once a minute."""

import logging
import time
from collections.abc import Callable

QUIET_S = 60.0
"""How long nothing is said twice."""

_KINDS_MAX = 1000


class ThrottledLog:
    """Logs each kind of thing at most once a minute. Safe for threads and greenlets.

    Args:
        log: Where to.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self, log: logging.Logger, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._monotonic = monotonic
        self._quiet_until: dict[str, float] = {}

    def log(
        self,
        kind: str,
        text: str,
        *arguments: object,
        level: int = logging.WARNING,
        error: Exception | None = None,
    ) -> None:
        """Log a line, unless one of its kind was logged just now.

        Args:
            kind: What is not said twice.
            text: With a format of ``%`` for each of the arguments.
            arguments: What stands in the text.
            level: How grave it is.
            error: A fault of ours: the line has its traceback.
        """
        now = self._monotonic()
        if now < self._quiet_until.get(kind, 0.0):
            return
        if len(self._quiet_until) >= _KINDS_MAX:
            self._quiet_until.clear()
        self._quiet_until[kind] = now + QUIET_S
        self._log.log(level, text, *arguments, exc_info=error)
