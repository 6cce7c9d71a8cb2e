"""A TCP proxy between processes and Redis that can be told to misbehave."""

import socket
import threading
from typing import Literal, Self

Mode = Literal[
    "pass", "hang", "delay", "cut before request", "cut before reply", "cut in reply", "refuse"
]

BYTES_MAX = 65536


class Proxy:
    """Listens on 127.0.0.1 and passes everything on, until told otherwise.

    Args:
        target_port: Where on 127.0.0.1 everything is passed on to.
        port: Where to listen; 0 for a free one.

    Attributes:
        mode: What it does with what comes next: pass it on; hold it for ever; hold every reply for
            ``delay_s``; close the connection before the request, before the reply to it, or after
            half of the reply gets through; or close every connection and take no new ones.
        delay_s: How long a reply is held, in seconds.
    """

    def __init__(self, target_port: int, *, port: int = 0) -> None:
        self.mode: Mode = "pass"
        self.delay_s = 0.0
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: set[socket.socket] = set()
        self._stopped = threading.Event()
        self._changed = threading.Condition()

    def start(self) -> Self:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def set_mode(self, mode: Mode) -> None:
        """Behave differently from now on, on connections that are open too."""
        with self._changed:
            before, self.mode = self.mode, mode
            self._changed.notify_all()
        if mode == "refuse":
            self._hang_up_on_all()
        elif before == "refuse":
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self.start()

    def close(self) -> None:
        """Close every connection, and stop."""
        self._stopped.set()
        self.set_mode("refuse")

    def _hang_up_on_all(self) -> None:
        _hang_up(self._listener)
        for each in list(self._sockets):
            _hang_up(each)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:  # it listens no more
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                _hang_up(client)
                continue
            self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, sink, source is server), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        try:
            while data := source.recv(BYTES_MAX):
                let_through = self._treated(data, is_reply)
                sink.sendall(let_through)
                if len(let_through) < len(data):
                    break
        except OSError:
            pass
        finally:
            for each in (source, sink):
                _hang_up(each)
                self._sockets.discard(each)

    def _treated(self, data: bytes, is_reply: bool) -> bytes:
        """Return how much of it gets through; less than all of it closes the connection."""
        with self._changed:
            self._changed.wait_for(lambda: self.mode != "hang")
            mode = self.mode
        if mode == ("cut before reply" if is_reply else "cut before request"):
            return b""
        if is_reply and mode == "cut in reply":
            return data[: len(data) // 2]
        if is_reply and mode == "delay":
            self._stopped.wait(self.delay_s)
        return data


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
