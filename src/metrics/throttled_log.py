"""A log that an outsider cannot fill: each kind of thing is said once a minute."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 60.0
"""How long nothing is said twice."""

_KINDS_MAX = 1000
_OTHERS = ""


@dataclass(slots=True)
class _Kind:
    quiet_until: float
    held_back: int = 0


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
        self._kinds: dict[str, _Kind] = {}

    def log(
        self,
        kind: str,
        text: str,
        *arguments: object,
        level: int = logging.WARNING,
        error: Exception | None = None,
    ) -> None:
        """Log a line, unless one of its kind was logged just now; then the next one counts it.

        Args:
            kind: What is not said twice.
            text: With a format of ``%`` for each of the arguments.
            arguments: What stands in the text.
            level: How grave it is.
            error: A fault of ours: the line has its traceback.
        """
        now = self._monotonic()
        if len(self._kinds) >= _KINDS_MAX and kind not in self._kinds:
            self._forget(now)
            kind = kind if len(self._kinds) < _KINDS_MAX else _OTHERS
        known = self._kinds.get(kind)
        if known is not None and now < known.quiet_until:
            known.held_back += 1
            return
        held_back = known.held_back if known is not None else 0
        self._kinds[kind] = _Kind(now + QUIET_S)
        if held_back:
            text, arguments = f"{text} (and %d more like it before)", (*arguments, held_back)
        self._log.log(level, text, *arguments, exc_info=error)

    def _forget(self, now: float) -> None:
        self._kinds = {name: each for name, each in self._kinds.items() if now < each.quiet_until}
