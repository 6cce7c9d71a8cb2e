"""Sockets for datagrams, and how many of them the kernel had no room for.

Source:
    socket(7) ``SO_RXQ_OVFL``; linux/sock_diag.h ``SK_MEMINFO_DROPS``: the same counter, which can
    be asked for without waiting for the next datagram.
"""

import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

DATAGRAM_BYTES_MAX = 65_536
"""No datagram of UDP is longer."""

AT_ONCE = 500
"""How many are taken before it is the next socket's turn."""

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
"""What is asked for; the kernel gives no more than net.core.rmem_max."""

GATHER_S_MAX = 0.01
"""How long datagrams gather at most before they are read together."""

_SKB_BYTES = 1024
"""About what a short datagram takes of the kernel's buffer."""

_RATE_MAX = 100_000
"""Datagrams a second that the buffer must hold while they gather."""

_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8
_COUNTER_END = 2**32

_SENDERS_MAY_WRITE = 0o722

_log = logging.getLogger(__name__)


class DatagramSocket:
    """A socket that takes datagrams, each with some lines.

    Args:
        listening: Bound already.
        take: Called with each datagram; it must not keep it.
        name: For people.
    """

    def __init__(
        self, listening: socket.socket, take: Callable[[bytes], None], *, name: str
    ) -> None:
        self._socket = listening
        self._take = take
        self.name = name
        self._dropped = 0
        listening.setblocking(False)
        # As large as the kernel allows: it holds what comes while we are busy.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        buffer_bytes = listening.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._gather_s = min(buffer_bytes / _SKB_BYTES / _RATE_MAX, GATHER_S_MAX)
        if listening.family == socket.AF_UNIX:
            # It holds net.unix.max_dgram_qlen datagrams, and senders wait when it is full.
            self._gather_s = 0.0

    @classmethod
    def udp(cls, host: str, port: int, take: Callable[[bytes], None]) -> "DatagramSocket":
        """Return one that listens at an address.

        Raises:
            OSError: If it cannot.
        """
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM
        )
        listening = socket.socket(family, kind, protocol)
        try:
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        host, port = listening.getsockname()[:2]
        return cls(listening, take, name=f"udp {host}:{port}")

    @classmethod
    def unix(cls, path: str, take: Callable[[bytes], None]) -> "DatagramSocket":
        """Return one that listens at a path, to which every user of the machine may write.

        Raises:
            OSError: If it cannot, as when another process listens there.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _remove_stale(path)
            listening.bind(path)
            os.chmod(path, _SENDERS_MAY_WRITE)
        except OSError:
            listening.close()
            raise
        return cls(listening, take, name=f"unix {path}")

    def fileno(self) -> int:
        """Return its descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> float:
        """Take what waits; return how long (in seconds) the next may gather; 0 if more wait."""
        return self._gather_s if self._read() < AT_ONCE else 0.0

    def read_all(self) -> None:
        """Take all that waits."""
        while self._read() == AT_ONCE:
            pass

    def _read(self) -> int:
        """Take what waits, but not too much at once; return how many datagrams that were."""
        receive, take = self._socket.recv, self._take
        for taken in range(AT_ONCE):
            try:
                datagram = receive(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return taken
            take(datagram)
        return AT_ONCE

    def newly_dropped(self) -> int:
        """Return how many the kernel had no room for since the last call; 0 where it never says."""
        if sys.platform != "linux":
            return 0
        info = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        dropped: int = _MEMINFO.unpack(info)[_MEMINFO_DROPS]
        newly, self._dropped = (dropped - self._dropped) % _COUNTER_END, dropped
        return newly

    def hang_up(self) -> None:
        """Let senders get an error from now on; what came before can still be read."""
        if self._socket.family == socket.AF_UNIX:
            self._socket.shutdown(socket.SHUT_RD)
            with suppress(OSError):
                os.unlink(self._socket.getsockname())
            return
        # One that is connected, here to itself, takes no datagram from anywhere else.
        host, port = self._socket.getsockname()[:2]
        loopback = "::1" if self._socket.family == socket.AF_INET6 else "127.0.0.1"
        self._socket.connect((loopback if host in {"0.0.0.0", "::"} else host, port))  # noqa: S104

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens at, as one that was killed leaves behind.

    Raises:
        OSError: If somebody does, or if what is there is no socket.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(f"{path} is there, and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            try:
                sender.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
                return
        raise FileExistsError(f"another process listens at {path}")
