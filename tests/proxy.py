"""A TCP proxy between us and Redis that can be told to misbehave."""

import socket
import threading
from typing import Literal, Self

Mode = Literal["pass", "hang", "cut before request", "cut before reply"]


class Proxy:
    """Listens on 127.0.0.1 and passes everything on, until told otherwise.

    Attributes:
        mode: What it does with what comes next: pass it on, hold it for ever, or close the
            connection before the request or before the reply to it gets through.
    """

    def __init__(self, target_port: int) -> None:
        self.mode: Mode = "pass"
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._stopped = threading.Event()
        self._changed = threading.Condition()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> Self:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def set_mode(self, mode: Mode) -> None:
        """Behave differently from now on, on connections that are open too."""
        with self._changed:
            self.mode = mode
            self._changed.notify_all()

    def close(self) -> None:
        """Close every connection, and stop."""
        self._stopped.set()
        self.set_mode("cut before request")
        for each in (self._listener, *self._sockets):
            _hang_up(each)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                continue
            self._sockets += (client, server)
            for source, sink, cut in (
                (client, server, "cut before request"),
                (server, client, "cut before reply"),
            ):
                threading.Thread(target=self._pump, args=(source, sink, cut), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, cut: str) -> None:
        try:
            while data := source.recv(65536):
                with self._changed:
                    self._changed.wait_for(lambda: self.mode != "hang")
                    if self.mode == cut:
                        break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            _hang_up(source)
            _hang_up(sink)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
