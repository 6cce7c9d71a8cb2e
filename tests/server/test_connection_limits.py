"""At its limits the server makes room, or turns an address away."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.pool import Pool

from api.server import worker
from api.server.address import forwarded_for, network_of


@contextlib.contextmanager
def small_server(
    connections_max: int, per_address_max: int | None = None
) -> Iterator[worker.Server]:
    """A server in this process that keeps few connections."""

    def app(environ: dict, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [])
        return []

    server = worker.Server(
        ("127.0.0.1", 0),
        app,
        handler_class=worker.Connection,
        spawn=Pool(connections_max),
        per_address_max=per_address_max,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(timeout=0)


def asked_from(server: worker.Server, host: str) -> socket.socket:
    """Return a connection from an address that was answered once and is idle now."""
    connection = socket.create_connection(server.address, 20, (host, 0))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert gevent.get_hub().threadpool.apply(connection.recv, (1000,)).startswith(b"HTTP/1.1 200")
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection, once it has had time for it."""
    connection.settimeout(0.05)
    gevent.sleep(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_at_the_limit_the_connection_that_is_idle_for_longest_makes_room() -> None:
    """A server whose connections are all in use closes the oldest idle one and serves the next."""
    with small_server(3) as server:
        first, *others = [asked_from(server, "127.0.0.1") for _ in range(3)]

        others.append(asked_from(server, "127.0.0.1"))

        assert is_closed(first)
        for each in (first, *others):
            each.close()


def test_at_the_limit_the_address_with_most_idle_connections_makes_room() -> None:
    """One address that opens many connections takes them from itself, not from others."""
    with small_server(4) as server:
        early = asked_from(server, "127.0.0.2")
        crowd = [asked_from(server, "127.0.0.1") for _ in range(3)]

        crowd.append(asked_from(server, "127.0.0.1"))

        assert is_closed(crowd[0])
        assert not is_closed(early)
        for each in (early, *crowd):
            each.close()


def test_an_address_with_all_its_connections_closes_its_oldest_idle_one() -> None:
    """An address has so many connections; its next one takes the place of the oldest idle one."""
    with small_server(100, per_address_max=2) as server:
        early = asked_from(server, "127.0.0.2")
        crowd = [asked_from(server, "127.0.0.1") for _ in range(2)]

        crowd.append(asked_from(server, "127.0.0.1"))

        assert is_closed(crowd[0])
        assert not is_closed(crowd[1])
        assert not is_closed(early)
        for each in (early, *crowd):
            each.close()


def test_an_address_whose_connections_are_all_busy_is_turned_away() -> None:
    """A connection too many of an address is answered 429; other addresses are served."""
    refused = []
    with small_server(100, per_address_max=2) as server:
        server.count_refused = lambda: refused.append(1)
        busy = [begun_from(server, "127.0.0.1") for _ in range(2)]

        with socket.create_connection(server.address, 20, ("127.0.0.1", 0)) as one_more:
            answer = gevent.get_hub().threadpool.apply(one_more.recv, (1000,))

        assert answer.startswith(b"HTTP/1.1 429 Too Many Requests")
        assert b"Retry-After: 1\r\n" in answer
        assert refused == [1]
        asked_from(server, "127.0.0.2").close()
        for each in busy:
            each.close()


def begun_from(server: worker.Server, host: str) -> socket.socket:
    """Return a connection from an address in the middle of a request."""
    connection = socket.create_connection(server.address, 20, (host, 0))
    connection.sendall(b"GET / HTTP/1.1\r\n")
    held = server.addresses._counts[host]
    while server.addresses._counts[host] == held:
        gevent.sleep(0.01)
    return connection


def test_connections_that_are_gone_are_not_counted() -> None:
    """Addresses whose connections have ended take no memory."""
    with small_server(100, per_address_max=2) as server:
        for _ in range(5):
            asked_from(server, "127.0.0.1").close()
            while server.addresses._counts:
                gevent.sleep(0.01)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_an_ipv6_network_is_one_address(address: str, network: str) -> None:
    """In IPv6 all addresses of a network of 64 bits count as one; IPv4 is the same in both."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("header", "proxies", "address"),
    [
        ("192.0.2.7", 1, "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7", 1, "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7,198.51.100.1", 2, "192.0.2.7"),
        ("192.0.2.7", 2, ""),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("unknown", 1, ""),
        ("", 1, ""),
    ],
)
def test_only_what_the_trusted_proxies_appended_is_believed(
    header: str, proxies: int, address: str
) -> None:
    """The client is the address that the outermost trusted proxy saw; the rest may be made up."""
    assert forwarded_for(header, proxies) == address
