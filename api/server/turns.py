"""Turns of a connection: however much a client sends at once, others are served between."""

from typing import Any

import gevent

TURNS_MAX = 8
"""How many reads and requests a connection has before the event loop looks at its sockets again. A
socket whose data is there already is read without a wait, so a greedy client would never wait."""

PAUSE_S = 0.002
"""How long a greedy connection then leaves to others: a request takes several turns of the loop. It
is a timer, since gevent runs up to fifty callbacks of ``sleep(0)`` before it looks at sockets."""


class Turns:
    """Counts the reads and requests of one connection, and pauses it after some.

    Args:
        server: With ``loop``, the event loop, and ``greedy``, which one connection has that pauses.
    """

    def __init__(self, server: Any) -> None:  # noqa: ANN401
        self._server = server
        self._loop = server.loop
        self._turns = 0
        self._iteration = -1

    def take(self, turns_max: int = TURNS_MAX) -> None:
        """Take a turn, after a pause if there were so many in this iteration of the event loop."""
        iteration = self._loop.iteration
        if iteration != self._iteration:
            self._iteration = iteration
            self._turns = 0
        self._turns += 1
        if self._turns > turns_max:
            self.pause()

    def pause(self) -> None:
        """Let others have their turns."""
        # One at a time, or many greedy ones together would leave nothing to others.
        with self._server.greedy:
            gevent.sleep(PAUSE_S)
        self._iteration = self._loop.iteration
        self._turns = 1
