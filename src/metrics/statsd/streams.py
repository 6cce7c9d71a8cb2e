"""Lines over TCP: a listener, and its connections."""

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

CONNECTIONS_MAX = 256
"""How many there may be; one more is closed at once."""

LINE_BYTES_MAX = 8192
"""How long a line may be: as long as a datagram of DogStatsD. A longer one ends its connection."""

GATHER_S = 0.002
"""How long lines gather before they are read together."""

_READ_BYTES = 16_384
_LAST_READS = 1024
"""How often a connection is read when all ends: as much as the kernel holds for it, and more."""


class Listener:
    """Takes connections, and the lines that come over them.

    Args:
        host: Address to listen at.
        port: Port to listen at.
        take: Called with whole lines.
        lose: Called when a line is lost.
        selector: Has each connection registered, with its ``read`` as data.

    Raises:
        OSError: If it cannot listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        take: Callable[[bytes], None],
        lose: Callable[[], None],
        selector: selectors.BaseSelector,
    ) -> None:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._socket = socket.create_server((host, port), family=family)
        self._socket.setblocking(False)
        self._take = take
        self._lose = lose
        self._selector = selector
        self._connections: set[_Connection] = set()
        host, port = self._socket.getsockname()[:2]
        self.name = f"tcp {host}:{port}"

    def fileno(self) -> int:
        """Return its descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> float:
        """Take a connection, if one waits; return how long (in seconds) to wait for the next."""
        try:
            accepted, _ = self._socket.accept()
        except BlockingIOError:
            return 0.0
        except OSError:  # as without descriptors
            return GATHER_S
        accepted.setblocking(False)
        if len(self._connections) >= CONNECTIONS_MAX:
            accepted.close()
            return GATHER_S
        connection = _Connection(accepted, self._take, self._lose, self._forget)
        self._connections.add(connection)
        self._selector.register(accepted, selectors.EVENT_READ, connection.read)
        return 0.0

    def hang_up(self) -> None:
        """Take no more connections, and what has come over those there are; end them."""
        self._selector.unregister(self._socket)
        # Those that were made and not yet taken may have lines.
        while len(self._connections) < CONNECTIONS_MAX:
            before = len(self._connections)
            self.read()
            if len(self._connections) == before:
                break
        self.close()
        for connection in list(self._connections):
            connection.finish()

    def close(self) -> None:
        """Close the listening socket."""
        self._socket.close()

    def _forget(self, connection: "_Connection", closed: socket.socket) -> None:
        self._connections.discard(connection)
        self._selector.unregister(closed)
        closed.close()


class _Connection:
    """One connection, and the beginning of a line whose end has not come."""

    def __init__(
        self,
        connected: socket.socket,
        take: Callable[[bytes], None],
        lose: Callable[[], None],
        forget: "Callable[[_Connection, socket.socket], None]",
    ) -> None:
        self._socket = connected
        self._take = take
        self._lose = lose
        self._forget = forget
        self._rest = b""
        self._is_open = True

    def read(self) -> float:
        """Take what has come; return how long (in seconds) the next lines may gather."""
        return GATHER_S if self._read() else 0.0

    def _read(self) -> bool:
        """Take what has come; return whether anything had."""
        try:
            received = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            received = b""
        if not received:
            self._end()
            return False
        lines, newline, rest = received.rpartition(b"\n")
        if newline:
            self._take(self._rest + lines)
            self._rest = rest
        else:
            self._rest += received
        if len(self._rest) > LINE_BYTES_MAX:
            self._rest = b""
            self._lose()
            self._end()
        return True

    def finish(self) -> None:
        """Take all that has come, and end."""
        for _ in range(_LAST_READS):
            if not (self._is_open and self._read()):
                break
        if self._is_open:
            self._end()

    def _end(self) -> None:
        # A last line need not have a newline.
        if self._rest:
            self._take(self._rest)
        self._is_open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._forget(self, self._socket)
