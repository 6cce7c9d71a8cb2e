"""The ASGI middleware records each request once, and changes nothing for app and server."""

import asyncio
from collections.abc import Sequence

import pytest

from metrics.client.asgi import ASGIApp, ASGIMiddleware, Event, Receive, Scope, Send
from metrics.testing import Recorder
from tests.conftest import Clock
from tests.support.failing import Broken, failing_log

HEAD = {"type": "http.response.start", "status": 200, "headers": []}
HTTP = {"type": "http", "method": "GET", "path": "/"}


@pytest.fixture
def client() -> Recorder:
    """Return the client of the middleware."""
    return Recorder(key="checkout.web-1")


class Server:
    """Asks an app, and keeps what it sends.

    Attributes:
        sent: The events that it sent.
        fails_at: The type of the event that cannot be sent, since the other side hung up.
    """

    def __init__(self, fails_at: str = "") -> None:
        self.sent: list[Event] = []
        self.fails_at = fails_at

    async def receive(self) -> Event:
        """Return an empty request."""
        return {"type": "http.request"}

    async def send(self, event: Event) -> None:
        """Keep an event."""
        if event["type"] == self.fails_at:
            raise OSError("gone")
        self.sent.append(event)

    def ask(self, app: ASGIApp, **scope: object) -> None:
        """Let the app answer one request."""
        asyncio.run(app({**HTTP, **scope}, self.receive, self.send))


def body(content: bytes, *, more: bool = False) -> Event:
    """Return the event of a chunk."""
    return {"type": "http.response.body", "body": content, "more_body": more}


def answering(events: Sequence[Event], clock: Clock | None = None) -> ASGIApp:
    """Return an app that sends events, with a second of work before each and at its end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            if clock is not None:
                clock.seconds += 1
            await send(event)
        if clock is not None:
            clock.seconds += 1

    return app


@pytest.mark.parametrize(
    ("events", "value_ms"),
    [
        ([HEAD, body(b"ok")], 2000.0),
        ([HEAD, {"type": "http.response.body"}], 2000.0),
        ([HEAD, body(b"a", more=True), body(b"b", more=True), body(b"")], 4000.0),
        ([HEAD, {"type": "http.response.pathsend", "path": "/file"}], 2000.0),
        (
            [
                HEAD,
                {"type": "http.response.zerocopysend", "file": 3, "more_body": True},
                {"type": "http.response.zerocopysend", "file": 3},
            ],
            3000.0,
        ),
        ([HEAD, body(b"a"), {"type": "http.response.trailers", "headers": []}], 2000.0),
        ([HEAD, body(b"a", more=True)], 3000.0),
        ([], 1000.0),
    ],
    ids=["whole", "empty", "streamed", "path", "file", "trailers", "without end", "nothing"],
)
def test_a_request_is_measured_until_the_end_of_its_body_is_sent(
    client: Recorder, clock: Clock, events: list[Event], value_ms: float
) -> None:
    """A request is measured until its body's end is sent, and every event passes as it is."""
    server = Server()
    server.ask(ASGIMiddleware(answering(events, clock), client, clock=clock))

    assert server.sent == events
    assert client.messages == [("checkout.web-1", value_ms)]


def test_the_time_that_sending_takes_counts(client: Recorder, clock: Clock) -> None:
    """A request's time includes the time that sending takes."""

    class Slow(Server):
        async def send(self, event: Event) -> None:
            clock.seconds += 10

    Slow().ask(ASGIMiddleware(answering([HEAD, body(b"ok")]), client, clock=clock))

    assert client.messages == [("checkout.web-1", 20_000.0)]


@pytest.mark.parametrize("error", [LookupError("mine"), SystemExit(3)])
@pytest.mark.parametrize("events", [[], [HEAD, body(b"ok")]], ids=["before", "after"])
def test_what_an_app_raises_is_recorded_and_passed_on(
    client: Recorder, events: list[Event], error: BaseException
) -> None:
    """An app's exception is passed on as it is, and its request is recorded once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(events)(scope, receive, send)
        raise error

    with pytest.raises(type(error)) as raised:
        Server().ask(ASGIMiddleware(app, client))

    assert raised.value is error
    assert error.__context__ is None
    assert len(client.messages) == 1


@pytest.mark.parametrize("at", ["http.response.start", "http.response.body"])
def test_a_request_whose_client_hung_up_is_recorded(client: Recorder, at: str) -> None:
    """A request whose client hung up is recorded, and the server's error is passed on."""
    with pytest.raises(OSError, match="gone"):
        Server(at).ask(ASGIMiddleware(answering([HEAD, body(b"ok")]), client))

    assert len(client.messages) == 1


def test_a_request_that_is_cancelled_is_recorded(client: Recorder) -> None:
    """A cancelled request is recorded once and stays cancelled."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        await asyncio.Event().wait()

    async def cancel() -> None:
        server = Server()
        wrapped = ASGIMiddleware(app, client)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wrapped(dict(HTTP), server.receive, server.send), 0.01)

    asyncio.run(cancel())

    assert len(client.messages) == 1


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something new"])
def test_what_is_no_http_request_passes_untouched(client: Recorder, kind: str) -> None:
    """What is no HTTP request is not recorded, and the app gets the server's own objects."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope, receive, send])

    scope: Scope = {"type": kind}
    receive, send = Server().receive, Server().send
    asyncio.run(ASGIMiddleware(app, client)(scope, receive, send))

    assert all(ours is theirs for ours, theirs in zip(seen, [scope, receive, send], strict=True))
    assert client.messages == []


def test_a_key_can_come_from_the_scope(client: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """A key function reads the scope as the app has left it; None leaves a request out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = scope["path"].split("/")[1]
        await send(HEAD)
        await send(body(b""))

    def key(scope: Scope) -> str | None:
        return None if scope["route"] == "health" else f"checkout.{scope['route']}"

    for path in ("/pay/4711", "/health", "/pay/4712"):
        Server().ask(ASGIMiddleware(app, client, key=key), path=path)

    assert [key for key, _ in client.messages] == ["checkout.pay", "checkout.pay"]
    assert caplog.text == ""


def test_a_middleware_without_a_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrapping an app without any key raises an error that says what to set."""
    monkeypatch.delenv("METRICS_KEY", raising=False)
    with pytest.raises(ValueError, match=r"pass key= to the middleware, or set METRICS_KEY"):
        ASGIMiddleware(answering([]), Recorder())


def failing(scope: Scope) -> str:
    """Raise an error instead of returning a key."""
    raise LookupError(scope["path"])


def test_a_key_or_client_that_fails_changes_no_answer(
    client: Recorder, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """A key or client that fails changes no answer, and is logged at most once a minute."""
    events = [HEAD, body(b"ok")]
    broken = Broken(key="checkout.web-1")
    wrapped = ASGIMiddleware(answering(events), broken, clock=clock)
    keyed = ASGIMiddleware(answering(events), client, key=failing, clock=clock)
    misnamed = ASGIMiddleware(answering(events), client, key=lambda _: "no spaces", clock=clock)
    for seconds in (0, 59, 60, 119, 120):
        clock.seconds = seconds
        for app in (wrapped, keyed, misnamed):
            server = Server()
            server.ask(app)
            assert server.sent == events

    ours = [record for record in caplog.records if record.name == "metrics.client"]
    assert len(ours) == 9
    assert "RuntimeError('broken')" in caplog.text
    assert "LookupError('/')" in caplog.text
    assert "got 'no spaces'" in caplog.text
    assert client.messages == []


def test_a_logging_handler_that_fails_changes_no_answer() -> None:
    """A log handler that raises changes no answer."""
    server = Server()
    with failing_log() as calls:
        client = Broken(key="checkout.web-1")
        server.ask(ASGIMiddleware(answering([HEAD, body(b"ok")]), client))

    assert server.sent == [HEAD, body(b"ok")]
    assert len(calls) == 1
