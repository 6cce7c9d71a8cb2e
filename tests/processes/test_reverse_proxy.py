"""The services behind the proxies whose configuration ships: real ones, with real TLS."""

import json
import ssl
from collections.abc import Iterator
from threading import Thread

import pytest

from api.server.address import forwarded_for
from metrics.settings import Settings
from metrics.tokens import new_token
from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from tests.support.reverse_proxies import (
    COLLECTOR,
    QUERY,
    ReverseProxy,
    StandIn,
    answer_on,
    found,
)

TOKEN, _ = new_token()
LIMIT = Settings.from_env({"REDIS_URL": "redis://localhost"}).body_max_bytes
MESSAGE = b'{"key":"checkout.web-1","value":1}'


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    """Give what stands where the query service would."""
    server = StandIn()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a collector that is set as the page says."""
    folder = tmp_path_factory.mktemp("behind")
    redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder).start()
    service = Service(
        "collector",
        redis.url,
        folder / "collector.log",
        METRICS_PROXIES="1",
        METRICS_ALLOWED_HOSTS=f"{COLLECTOR},127.0.0.1",
        METRICS_WRITE_TOKENS=TOKEN,
    )
    try:
        yield service.start()
    finally:
        service.kill()
        redis.stop()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                found(name) is None,
                reason=f"NOT TESTED: there is no {name} here (apt-get install {package})",
            ),
        )
        for name, package in (("nginx", "nginx-light"), ("caddy", "caddy"))
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    """Return which proxy it is."""
    found_kind: str = request.param
    return found_kind


@pytest.fixture(scope="module")
def proxy(
    kind: str, collector: Service, stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReverseProxy]:
    """Give a proxy in front of both."""
    folder = tmp_path_factory.mktemp(kind)
    port = stand_in.server_address[1]
    running = ReverseProxy(kind, folder, collector=collector.port, query=port)
    try:
        yield running.start()
    finally:
        running.stop()


def post(body: bytes = MESSAGE, *lines: str, length: int | None = None) -> bytes:
    """Return the bytes of a message that is sent."""
    head = (
        "POST /messages HTTP/1.1",
        f"Host: {COLLECTOR}",
        "Content-Type: application/json",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {len(body) if length is None else length}",
        *lines,
    )
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def get(*lines: str) -> bytes:
    """Return the bytes of a question."""
    return "\r\n".join(["GET /keys HTTP/1.1", f"Host: {QUERY}", *lines, "", ""]).encode()


def test_messages_come_in_over_tls_and_pages_of_other_sites_do_not(proxy: ReverseProxy) -> None:
    """A certificate of the name is shown; the service's own page may write, another may not."""
    status, _, body = proxy.ask(COLLECTOR, post())
    own, _, _ = proxy.ask(COLLECTOR, post(MESSAGE, f"Origin: https://{COLLECTOR}"))
    foreign, _, _ = proxy.ask(COLLECTOR, post(MESSAGE, "Origin: https://evil.example"))

    assert (status, json.loads(body)) == (202, {"accepted": 1, "rejected": 0})
    assert (own, foreign) == (202, 403)
    with pytest.raises(ssl.SSLError):
        proxy.connect("other.example")


def test_connections_are_kept_on_both_sides(proxy: ReverseProxy, stand_in: StandIn) -> None:
    """Many requests take one connection of a client, and many clients few to the service."""
    with proxy.connect(QUERY) as connection:
        for _ in range(10):
            connection.sendall(get())
            assert answer_on(connection)[0] == 200
    before = stand_in.connections
    for _ in range(20):
        assert proxy.ask(QUERY, get())[0] == 200

    assert stand_in.connections - before < 5


def test_the_service_is_told_who_asks_and_under_which_id(proxy: ReverseProxy) -> None:
    """The last address of X-Forwarded-For is the client's, whatever it says; its id goes on.

    So does that it was asked over TLS, which lines to paste need.
    """
    _, _, body = proxy.ask(QUERY, get("X-Forwarded-For: 192.0.2.9", "X-Request-Id: abc-1"))
    _, headers, _ = proxy.ask(COLLECTOR, post(MESSAGE, "X-Request-Id: abc-2"))

    told = json.loads(body)
    assert forwarded_for(told["x-forwarded-for"], 1) == "127.0.0.1"
    assert (told["host"], told["x-request-id"]) == (QUERY, "abc-1")
    assert told["x-forwarded-proto"] == "https"
    assert headers["X-Request-Id"] == "abc-2"


def test_the_longest_body_that_we_take_gets_through_and_no_longer_one(proxy: ReverseProxy) -> None:
    """The limit on bodies is ours to the byte."""
    assert proxy.ask(COLLECTOR, post(MESSAGE.ljust(LIMIT)))[0] == 202
    assert proxy.ask(COLLECTOR, post(MESSAGE.ljust(LIMIT + 1)))[0] == 413


def test_who_waits_to_be_told_to_go_on_is_told(proxy: ReverseProxy, kind: str) -> None:
    """``Expect: 100-continue`` is answered before the body comes; by nginx not if it is too long.

    Caddy reads some of a body before it passes its head on.
    """
    with proxy.connect(COLLECTOR) as connection:
        connection.sendall(post(b"", "Expect: 100-continue", length=len(MESSAGE)))
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(MESSAGE)

        assert answer_on(connection)[0] == 202
    if kind == "nginx":
        with proxy.connect(COLLECTOR) as connection:
            connection.sendall(post(b"", "Expect: 100-continue", length=LIMIT + 1))
            refusal = b""
            while b"}" not in refusal:
                piece = connection.recv(4096)
                assert piece, refusal
                refusal += piece
        assert refusal.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in refusal
        assert b"may have %d bytes" % LIMIT in refusal


def test_a_body_whose_length_is_told_twice_is_not_let_through(
    proxy: ReverseProxy, kind: str
) -> None:
    """No request is longer for the proxy than for the service: RFC 9112, section 6.3.

    Of a chunked body with a Content-Length, Caddy drops the length and passes it on chunked, as the
    RFC allows; nginx refuses it.
    """
    twice = proxy.ask(COLLECTOR, post(MESSAGE, "Content-Length: 5"))[0]
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(MESSAGE), MESSAGE)
    both = proxy.ask(COLLECTOR, post(chunk, "Transfer-Encoding: chunked", length=5))[0]

    assert twice == 400
    assert both == {"nginx": 400, "caddy": 202}[kind]


def test_what_is_for_those_inside_is_not_shown(proxy: ReverseProxy) -> None:
    """Series and the state of Redis are not asked from outside."""
    for path in ("/metrics", "/readyz"):
        request = f"GET {path} HTTP/1.1\r\nHost: {COLLECTOR}\r\n\r\n".encode()
        assert proxy.ask(COLLECTOR, request)[0] == 404, path


def test_the_log_has_the_id_of_a_request_and_no_token(proxy: ReverseProxy) -> None:
    """Who asked for what is found by the id that the answer had; no token is written down."""
    proxy.ask(COLLECTOR, post(MESSAGE, "X-Request-Id: abc-3"))

    log = proxy.logged("abc-3")
    assert "127.0.0.1" in log
    assert "/messages" in log
    assert TOKEN not in log
