"""Requests for pages of other sites are refused by every process, in every form of a write."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from api.collector import app as collector
from api.collector.fast_path import FastPath
from api.query import app as query
from metrics.connection import Connection
from metrics.cross_site import CrossSiteRules
from metrics.settings import Settings
from ops.lab.service import Service, procfile
from ops.local.redis_server import EmbeddedRedis
from tests.collector.test_fast_path import ask
from workers.counters import Counters
from workers.health import HealthServer

EVIL = "https://evil.example"
DASH = "https://dash.example"
BODY = b'{"key":"a","value":1.5}'
LOCAL = {"REDIS_URL": "redis://unused", "METRICS_HOST": "127.0.0.1"}


def rules(host: str = "127.0.0.1", hosts: str = "", origins: str = "") -> CrossSiteRules:
    """Return the rules of a process with these settings."""
    return CrossSiteRules.of(
        Settings.from_env(
            {
                "REDIS_URL": "redis://unused",
                "METRICS_HOST": host,
                "METRICS_ALLOWED_HOSTS": hosts,
                "METRICS_ALLOWED_ORIGINS": origins,
            }
        )
    )


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LocalHost:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"]
)
def test_the_names_of_this_machine_are_known_where_only_it_reaches_the_port(host: str) -> None:
    """A process at a loopback address accepts the names of this machine, with any port."""
    assert rules().refusal("GET", host, None, None) is None
    assert rules(host="::1").refusal("GET", host, None, None) is None
    assert rules(host="localhost").refusal("POST", host, None, None) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example/localhost",
        "localhost:8000:8000",
        "a b",
        "",
        "[::1",
        "[::2]:8000",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    """A process at a loopback address refuses any other name with a 421."""
    refusal = rules().refusal("GET", host, None, None)

    assert refusal is not None
    assert refusal.status == 421
    assert "METRICS_ALLOWED_HOSTS" in refusal.detail


def test_where_others_reach_the_port_names_are_known_if_they_are_told() -> None:
    """At a public address any name is accepted, unless METRICS_ALLOWED_HOSTS lists some."""
    assert rules(host="0.0.0.0").refusal("GET", "collector-1:8000", None, None) is None  # noqa: S104
    told = rules(host="::", hosts="metrics.example,[2001:db8::1]")
    assert told.refusal("GET", "Metrics.Example:8000", None, None) is None
    assert told.refusal("GET", "[2001:db8::1]:8000", None, None) is None
    assert told.refusal("GET", "localhost", None, None) is not None
    assert rules(hosts="*").refusal("GET", "anything", None, None) is None


@pytest.mark.parametrize(
    ("host", "origin", "fetch_site", "is_refused"),
    [
        ("localhost:8000", None, None, False),  # curl, the client library
        ("localhost:8000", "http://localhost:8000", None, False),
        ("localhost:8000", "http://localhost:8000", "same-origin", False),
        ("localhost", "https://localhost", None, False),  # TLS ends at a proxy
        ("localhost", None, "none", False),  # the address bar
        ("localhost:8000", EVIL, None, True),
        ("localhost:8000", EVIL, "cross-site", True),
        ("localhost:8000", None, "cross-site", True),
        ("localhost:8000", "http://localhost:3000", "same-site", True),
        ("localhost:8000", "http://localhost:3000", None, True),
        ("localhost:8000", "null", None, True),
        ("localhost:8000", "", None, True),
    ],
)
def test_pages_of_this_service_may_write_and_others_not(
    host: str, origin: str | None, fetch_site: str | None, is_refused: bool
) -> None:
    """A page of this service may write; one of another origin gets a 403."""
    refusal = rules().refusal("POST", host, origin, fetch_site)

    assert (refusal is not None) == is_refused
    assert refusal is None or refusal.status == 403
    assert rules().refusal("GET", host, origin, fetch_site) is None


def test_allowed_origins_may_write() -> None:
    """Pages of the origins in METRICS_ALLOWED_ORIGINS, or of all with `*`, may write."""
    some = rules(origins="https://dash.example, http://localhost:3000")

    assert some.refusal("POST", "localhost", "https://dash.example", "cross-site") is None
    assert some.refusal("POST", "localhost", "http://localhost:3000", "same-site") is None
    assert some.refusal("POST", "localhost", EVIL, "cross-site") is not None
    assert rules(origins="*").refusal("POST", "localhost", EVIL, "cross-site") is None


def app_of(connection: Connection, **environ: str) -> FastPath:
    """Return a collector that only this machine reaches."""
    app = collector.create_app(connection, Settings.from_env({**LOCAL, **environ}))
    assert isinstance(app, FastPath)
    return app


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"HTTP_HOST": "localhost:8000"}, 202),
        ({"HTTP_HOST": "evil.example"}, 421),
        ({"HTTP_HOST": "localhost:8000", "HTTP_ORIGIN": EVIL}, 403),
        ({"HTTP_HOST": "localhost:8000", "HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ({"HTTP_HOST": "localhost:8000", "HTTP_ORIGIN": "http://localhost:8000"}, 202),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_the_collector_asks_before_it_takes_anything(
    connection: Connection, headers: dict[str, str], status: int, kind: str
) -> None:
    """The collector checks host and origin on its fast path and on Falcon's."""
    body = BODY if kind == "application/json" else b"a,1.5"
    answer = ask(app_of(connection), body, CONTENT_TYPE=kind, **headers)

    assert int(answer.status[:3]) == status
    if status != 202:
        assert ("content-type", "application/problem+json") in answer.headers
        assert json.loads(answer.body)["status"] == status


def test_a_page_that_may_write_gets_what_its_browser_asks_for(connection: Connection) -> None:
    """A page that may write gets its preflight's answer and the header to read the result."""
    app = app_of(connection, METRICS_ALLOWED_ORIGINS="https://dash.example")
    asking = {"HTTP_HOST": "localhost", "HTTP_ORIGIN": "https://dash.example"}
    preflight = ask(
        app,
        b"",
        "OPTIONS",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type",
        **asking,
    )
    written = ask(app, BODY, **asking)

    assert dict(preflight.headers)["access-control-allow-origin"] == "https://dash.example"
    assert "POST" in dict(preflight.headers)["access-control-allow-methods"]
    assert written.status == "202 Accepted"
    assert dict(written.headers)["access-control-allow-origin"] == "https://dash.example"
    assert ask(app, BODY, HTTP_HOST="localhost", HTTP_ORIGIN=EVIL).status.startswith("403")


@pytest.mark.parametrize("service", [collector, query])
@pytest.mark.parametrize(
    ("allowed", "origin", "granted"),
    [
        ("", DASH, None),
        (DASH, EVIL, None),
        (DASH, "null", None),
        (f"{DASH},http://localhost:3000", DASH, DASH),
        (DASH.upper(), DASH, DASH),
        ("*", EVIL, "*"),
        (f"{DASH},*", DASH, "*"),
    ],
)
def test_only_pages_of_listed_origins_are_answered(
    connection: Connection, service: ModuleType, allowed: str, origin: str, granted: str | None
) -> None:
    """Answers, errors and preflights name the origin if it is listed, and never ask for cookies."""
    settings = Settings.from_env({**LOCAL, "METRICS_ALLOWED_ORIGINS": allowed})
    app = service.create_app(connection, settings)
    page = {"HTTP_HOST": "localhost", "HTTP_ORIGIN": origin}
    wants = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    answers = [
        *(ask(app, b"", "GET", path, **page) for path in ("/healthz", "/nothing/there")),
        ask(app, b"", "OPTIONS", "/healthz", **page, **wants),
    ]

    for answer in answers:
        headers = dict(answer.headers)
        assert headers.get("access-control-allow-origin") == granted
        assert "access-control-allow-credentials" not in headers
        assert ("Origin" in headers.get("vary", "")) == (allowed != "" and "*" not in allowed)
    shown = dict(answers[0].headers).get("access-control-expose-headers", "")
    assert ("X-Request-Id" in shown) == (granted is not None)


def test_a_preflight_says_what_a_page_may_send(connection: Connection) -> None:
    """A preflight is answered without a token, with the methods of its route and our headers."""
    app = app_of(connection, METRICS_ALLOWED_ORIGINS=DASH, METRICS_WRITE_TOKENS="secret")
    answer = ask(
        app,
        b"",
        "OPTIONS",
        HTTP_HOST="localhost",
        HTTP_ORIGIN=DASH,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x-anything",
    )

    headers = dict(answer.headers)
    assert answer.status.startswith("200")
    assert set(headers["access-control-allow-methods"].split(", ")) >= {"POST"}
    assert "Idempotency-Key" in headers["access-control-allow-headers"]
    assert "x-anything" not in headers["access-control-allow-headers"]
    assert headers["access-control-max-age"] == "600"


def test_the_query_service_knows_its_names(connection: Connection) -> None:
    """Every route of the query service refuses a foreign name with a 421."""
    app = query.create_app(connection, Settings.from_env(LOCAL))
    for path in ("/healthz", "/readyz", "/metrics", "/audit", "/keys", "/a/median/2026-11-23/1"):
        assert ask(app, b"", "GET", path, HTTP_HOST="evil.example").status.startswith("421")
        assert not ask(app, b"", "GET", path, HTTP_HOST="localhost").status.startswith("421")


def test_the_worker_knows_its_names() -> None:
    """A worker refuses a foreign name with a 421."""
    server = HealthServer("127.0.0.1", 0, check=lambda: None, counters=Counters())
    server.start()
    try:
        assert [status_at(server.server_port, host) for host in ("localhost", "evil.example")] == [
            200,
            421,
        ]
    finally:
        server.close()


def status_at(port: int, host: str, at: str = "127.0.0.1") -> int:
    """Return what the process at a port answers to a GET that names a host."""
    with contextlib.closing(http.client.HTTPConnection(at, port, timeout=60)) as connection:
        connection.request("GET", "/metrics", headers={"Host": host})
        return connection.getresponse().status


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.fixture(params=["::1", "[::]"])
def on_ipv6(
    request: pytest.FixtureRequest, own_redis: EmbeddedRedis, tmp_path: Path
) -> Iterator[tuple[str, dict[str, Service]]]:
    """Yield all processes at an IPv6 address."""
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    services = {
        name: Service(name, own_redis.url, tmp_path / f"{name}.log", METRICS_HOST=request.param)
        for name in procfile()
    }
    for service in services.values():
        service.launch()
    yield request.param, services
    for service in services.values():
        service.kill()


def test_all_processes_listen_at_ipv6(on_ipv6: tuple[str, dict[str, Service]]) -> None:
    """Every process listens at an IPv6 address, and at ``::`` for IPv4 as well."""
    from metrics import Client
    from ops.local.waiting import wait_until

    host, services = on_ipv6

    def answers(service: Service, at: str) -> int:
        assert not service.has_ended, service.log.read_text("utf-8")
        with contextlib.suppress(OSError):
            return status_at(service.port, "localhost", at)
        return 0

    for service in services.values():
        wait_until(lambda service=service: answers(service, "::1") == 200)
        assert answers(service, "127.0.0.1") == (200 if host == "[::]" else 0)
        assert status_at(service.port, "evil.example", "::1") == (200 if host == "[::]" else 421)
    url = f"http://[::1]:{services['collector'].port}"
    with Client(url, environ={}) as client:
        client.record("a", 1.5)
        assert client.flush(10)
        assert client.stats.sent == 1
