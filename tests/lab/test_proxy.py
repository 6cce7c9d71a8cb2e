"""The proxy breaks connections, here before a server that sends back what it gets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from ops.lab.chaos.proxy import Proxy


def echo(listener: socket.socket) -> None:
    """Send back what comes, on each connection, until nobody can connect any more."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """Send back what comes on a connection."""
    with connection:
        while data := connection.recv(1024):
            connection.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Yield a proxy before a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=echo, args=(listener,), daemon=True).start()
    with closing(Proxy(listener.getsockname()[1])) as proxy:
        yield proxy.start()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connected(proxy: Proxy) -> socket.socket:
    """Return a connection to the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the other side hangs up."""
    found = b""
    while data := connection.recv(1024):
        found += data
    return found


def test_a_reply_that_is_cut_comes_by_half(proxy: Proxy) -> None:
    """A reply that is cut arrives by half, and the connection ends."""
    with connected(proxy) as connection:
        connection.sendall(b"first")
        assert connection.recv(1024) == b"first"
        proxy.set_mode("cut in reply")
        connection.sendall(b"0123456789")

        assert all_of(connection) == b"01234"


def test_a_reply_that_is_delayed_comes_whole(proxy: Proxy) -> None:
    """A delayed reply arrives whole after the set time."""
    proxy.delay_s = 0.2
    proxy.set_mode("delay")
    with connected(proxy) as connection:
        begun = monotonic()
        connection.sendall(b"0123456789")

        assert connection.recv(1024) == b"0123456789"
        assert monotonic() - begun >= 0.2


def test_a_proxy_that_refuses_can_be_reached_again(proxy: Proxy) -> None:
    """A proxy that refuses closes its connections, and can be reached again later."""
    with connected(proxy) as connection:
        connection.sendall(b"first")
        assert connection.recv(1024) == b"first"
        proxy.set_mode("refuse")
        assert all_of(connection) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.set_mode("pass")

    with connected(proxy) as connection:
        connection.sendall(b"second")
        assert connection.recv(1024) == b"second"
