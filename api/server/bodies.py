"""Bodies are read as they come, and all of them together have so much room and so many turns."""

import contextlib
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import gevent

from api.server.head import BadRequestError
from api.server.request import Request
from api.server.turns import Turns

BODIES_BYTES_MAX = 268_435_456
"""How long all bodies that are coming in may be together, in one process."""

TURN_BYTES_MAX = 4_194_304
"""How much is read of all bodies together before the event loop looks at its sockets again: that
takes some milliseconds. It is no number of reads, or many who trickle would hold up the others."""

RECV_BYTES = 65_536
CHUNKED_RECV_BYTES = 4096


class Bodies:
    """The room for bodies that are coming in.

    Args:
        bytes_max: How long all of them may be together.
        count_refused: Counts one that has no room.
    """

    def __init__(
        self,
        bytes_max: int = BODIES_BYTES_MAX,
        count_refused: Callable[[], object] = lambda: None,
    ) -> None:
        self._left = bytes_max
        self.count_refused = count_refused
        self._turn = -1
        self._in_turn = 0

    def has_turn(self, turn: int) -> bool:
        """Return whether more of any body may be read in this turn of the event loop."""
        if turn != self._turn:
            self._turn, self._in_turn = turn, 0
        return self._in_turn < TURN_BYTES_MAX

    def has_room(self, length: int) -> bool:
        """Return whether so many bytes more may come."""
        return length <= self._left

    def take(self, length: int) -> None:
        """Count bytes that have come."""
        self._left -= length
        self._in_turn += length

    def give_back(self, length: int) -> None:
        """Count bytes that are gone again."""
        self._left += length


class BodyReader:
    """Reads the bodies of one connection.

    Args:
        connection: A socket of gevent.
        server: With ``bodies`` and ``loop``.
        turns: Those of the connection.
    """

    def __init__(self, connection: socket.socket, server: Any, turns: Turns) -> None:  # noqa: ANN401
        self._socket = connection
        self._server = server
        self._turns = turns
        self._bytes = 0
        self._is_unread = False

    def check_room(self, length: int | None) -> None:
        """See that a body may come.

        Args:
            length: How long it is, if that is known.

        Raises:
            BadRequestError: If there is no room for it.
        """
        bodies = self._server.bodies
        if not bodies.has_room(min(RECV_BYTES, length or RECV_BYTES)):
            bodies.count_refused()
            raise BadRequestError(
                "Too many bodies are coming in; send this one again later.",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )

    def more(self, request: Request) -> bytes:
        """Read on in the body of a request.

        Raises:
            OSError: If the connection ends before the body does.
            gevent.GreenletExit: If all bodies have no more room.
        """
        if request.environ.pop("HTTP_EXPECT", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.is_chunked:
            # Small chunks take long to decode: each piece has a turn of its own.
            self._turns.take(1)
            data: bytes = self._socket.recv(CHUNKED_RECV_BYTES)
        else:
            if not self._server.bodies.has_turn(self._server.loop.iteration):
                self._turns.pause()
            self._turns.take()
            data = self._socket.recv(RECV_BYTES)
        if self._is_unread:
            # Nobody keeps it, so it takes a turn and no room.
            self._server.bodies.take(len(data))
            self._server.bodies.give_back(len(data))
            return self._checked(data)
        self._bytes += len(data)
        self._server.bodies.take(len(data))
        if not self._server.bodies.has_room(0):
            self._server.bodies.count_refused()
            # An answer would say something of the request, and nothing is wrong with it.
            raise gevent.GreenletExit
        return self._checked(data)

    @staticmethod
    def _checked(data: bytes) -> bytes:
        if not data:
            raise ConnectionAbortedError("the connection ended in the middle of a body")
        return data

    def is_drained(self, request: Request, within_s: float) -> bool:
        """Take in what the app left unread of a body; return whether all of it came in time."""
        self.give_back()
        self._is_unread = True
        # Who waits for 100 Continue, and was answered instead, may send the body or not.
        if not request.is_broken and "HTTP_EXPECT" not in request.environ:
            with gevent.Timeout(within_s, False), contextlib.suppress(OSError):
                request.drain()
        return request.is_complete

    def give_back(self) -> None:
        """Give the room of a body back, once it was answered."""
        self._server.bodies.give_back(self._bytes)
        self._bytes = 0
        self._is_unread = False
