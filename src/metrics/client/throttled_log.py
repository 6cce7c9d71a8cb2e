"""Warnings for the app's log, at most one a minute of each kind."""

import contextlib
import logging
from collections.abc import Callable

QUIET_S = 60.0
"""How long after a warning another of its kind is left out."""

_log = logging.getLogger("metrics.client")


class ThrottledLog:
    """Says each kind of thing at most once a minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._quiet_until: dict[str, float] = {}

    def warn(self, kind: str, text: str, *arguments: object) -> None:
        """Log a warning, unless one of its kind was logged just now."""
        if self._monotonic() < self._quiet_until.get(kind, 0.0):
            return
        self._quiet_until[kind] = self._monotonic() + QUIET_S
        # A handler of the app's may raise whatever it likes: that must not end our thread.
        with contextlib.suppress(Exception):
            _log.warning(text, *arguments)
