"""A connection to Redis over TLS."""

import socket
import ssl
from typing import Any

import redis

from metrics.tls import TlsFiles


class TlsConnection(redis.SSLConnection):
    """A connection of redis-py that trusts our CA only, and is not misled by session tickets.

    redis-py adds a CA to those of the machine. And it takes whatever waits to be read before a
    command for a stale reply, and gives up; with TLS 1.3 that may be the tickets of the server,
    which come after the handshake (RFC 8446, section 4.6.1) and are read with the first reply.

    Args:
        files: The certificates; None for what the URL says.
        settings: What redis-py takes.
    """

    def __init__(self, *, files: TlsFiles | None = None, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(redis_connect_func=_log_in, **settings)
        self._files = files

    def _wrap_socket_with_ssl(self, connection: socket.socket) -> ssl.SSLSocket:
        if self._files is None:
            wrapped: ssl.SSLSocket = super()._wrap_socket_with_ssl(connection)  # type: ignore[no-untyped-call]
            return wrapped
        context = self._files.context()
        context.check_hostname = self.check_hostname
        context.verify_mode = self.cert_reqs
        return context.wrap_socket(connection, server_hostname=self.host)


def _log_in(connection: Any) -> None:  # noqa: ANN401  (redis-py has no types for it)
    connection.on_connect()
    connection.send_command("PING", check_health=False)
    connection.read_response()
