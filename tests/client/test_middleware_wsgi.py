"""The WSGI middleware records each request once, and changes nothing for app and server."""

import io
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from metrics.client.client import Client
from metrics.client.wsgi import WSGIMiddleware
from metrics.testing import Recorder
from tests.conftest import Clock
from tests.support.failing import Broken, failing_log
from tests.support.wsgi_requests import PLAIN, Chunks, answering, request, start


@pytest.fixture
def client() -> Recorder:
    """Return the client of the middleware."""
    return Recorder(key="checkout.web-1")


def test_a_request_is_recorded_in_milliseconds_under_the_clients_key(
    client: Recorder, clock: Clock
) -> None:
    """A request's time is recorded once, in milliseconds, under the client's key."""

    def work() -> None:
        clock.seconds += 0.25

    answer = request(WSGIMiddleware(answering([b"ok"], work), client, clock=clock))

    assert answer.endswith(b"\r\n\r\nok")
    assert client.messages == [("checkout.web-1", 250.0)]


def test_a_streamed_answer_is_measured_to_its_end(client: Recorder, clock: Clock) -> None:
    """Chunks are passed on as they are made, and a request is measured to its last one."""
    chunks = Chunks([b"a", b"b"], clock)
    answer = iter(WSGIMiddleware(answering(chunks), client, clock=clock)({}, start))

    assert next(answer) == b"a"
    assert clock.seconds == 1
    assert client.messages == []
    assert list(answer) == [b"b"]
    assert client.messages == [("checkout.web-1", 3000.0)]


def test_an_answer_that_is_not_taken_is_recorded_when_it_is_closed(
    client: Recorder, clock: Clock
) -> None:
    """An answer that is closed early is recorded once, and the app's iterable is closed once."""
    chunks = Chunks([b"a", b"b"], clock)
    answer = WSGIMiddleware(answering(chunks), client, clock=clock)({}, start)
    assert next(iter(answer)) == b"a"

    answer.close()

    assert client.messages == [("checkout.web-1", 1000.0)]
    assert chunks.closed == 1


def test_the_app_is_told_of_the_end_as_before(client: Recorder) -> None:
    """A server's close() reaches the app's iterable, and its error reaches the server."""

    class Failing(Chunks):
        def close(self) -> None:
            super().close()
            raise OSError("close")

    chunks = Failing([b"a"])
    answer = WSGIMiddleware(answering(chunks), client)({}, start)
    assert list(answer) == [b"a"]
    with pytest.raises(OSError, match="close"):
        answer.close()

    assert chunks.closed == 1
    assert len(client.messages) == 1


@pytest.mark.parametrize("error", [LookupError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_what_an_app_raises_is_recorded_and_passed_on(
    client: Recorder, error: BaseException
) -> None:
    """An app's exception is passed on as it is, and its request is recorded once."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    with pytest.raises(type(error)) as raised:
        WSGIMiddleware(app, client)({}, start)

    assert raised.value is error
    assert error.__context__ is None
    assert len(client.messages) == 1


def test_what_an_answer_raises_is_recorded_and_passed_on(client: Recorder) -> None:
    """An exception of an answer's iterable is passed on, and its request is recorded once."""
    error = LookupError("mine")
    chunks = Chunks([b"a", error])
    answer = WSGIMiddleware(answering(chunks), client)({}, start)
    with pytest.raises(LookupError) as raised:
        list(answer)
    answer.close()

    assert raised.value is error
    assert len(client.messages) == 1
    assert chunks.closed == 1


def test_a_server_sees_the_length_where_the_app_tells_it(client: Recorder) -> None:
    """An answer of one chunk gets a Content-Length; one of unknown length has no len()."""
    assert b"Content-Length: 5\r\n" in request(WSGIMiddleware(answering([b"hello"]), client))
    assert b"Content-Length" not in request(WSGIMiddleware(answering(Chunks([b"hello"])), client))
    assert not hasattr(WSGIMiddleware(answering(Chunks([])), client)({}, start), "__len__")


def test_what_an_app_writes_itself_is_sent_before_the_rest(client: Recorder) -> None:
    """Bytes that an app gives to write() are sent before the rest of its answer."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(PLAIN))(b"first ")
        return [b"second"]

    assert request(WSGIMiddleware(app, client)).endswith(b"\r\n\r\nfirst second")
    assert len(client.messages) == 1


def test_an_error_answer_in_the_place_of_another_works(client: Recorder) -> None:
    """An app can replace its answer by an error, with start_response's `exc_info`."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(PLAIN))
        error = LookupError()
        start_response("500 Oh", list(PLAIN), (LookupError, error, None))
        return [b"sorry"]

    assert request(WSGIMiddleware(app, client)).startswith(b"HTTP/1.0 500 Oh\r\n")
    assert len(client.messages) == 1


def test_a_file_is_handed_to_the_server_as_the_servers_own(client: Recorder) -> None:
    """A file is returned in the server's own wrapper, and recorded once the server closes it."""
    file = io.BytesIO(b"content")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(PLAIN))
        return environ["wsgi.file_wrapper"](file)

    answer = WSGIMiddleware(app, client)({"wsgi.file_wrapper": FileWrapper}, start)
    assert isinstance(answer, FileWrapper)
    assert client.messages == []
    answer.close()
    assert len(client.messages) == 1
    assert file.closed

    file = io.BytesIO(b"content")
    assert request(WSGIMiddleware(app, client)).endswith(b"\r\n\r\ncontent")
    assert len(client.messages) == 2
    assert file.closed


class Fixed:
    """A file wrapper that nothing can be added to."""

    __slots__ = ("_file",)

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        """Give the content."""
        return iter(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@pytest.mark.parametrize("wrapper", [Fixed, lambda file: Fixed(file)], ids=["class", "function"])
def test_a_file_of_an_unusual_server_is_recorded_like_any_answer(
    client: Recorder, wrapper: Callable[[io.BytesIO], Fixed]
) -> None:
    """A file in a wrapper that cannot be subclassed or extended is sent, closed and recorded."""
    file = io.BytesIO(b"content")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return environ["wsgi.file_wrapper"](file)

    answer = WSGIMiddleware(app, client)({"wsgi.file_wrapper": wrapper}, start)
    assert list(answer) == [b"content"]
    answer.close()

    assert file.closed
    assert len(client.messages) == 1


def test_the_middleware_is_an_app_by_the_rules(client: Recorder) -> None:
    """The middleware satisfies the standard library's WSGI validator on both sides."""
    inner = validator(answering(Chunks([b"a", b"b"])))

    assert request(validator(WSGIMiddleware(inner, client))).endswith(b"\r\n\r\nab")
    assert len(client.messages) == 1


def test_a_key_can_come_from_the_environ(
    client: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """A key function reads the environ as the app has left it; None leaves a request out."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["route"] = environ["PATH_INFO"].strip("/").split("/")[0]
        start_response("200 OK", list(PLAIN))
        return []

    def key(environ: WSGIEnvironment) -> str | None:
        return None if environ["route"] == "health" else f"checkout.{environ['route']}"

    wrapped = WSGIMiddleware(app, client, key=key)
    for path in ("/pay/4711", "/health", "/pay/4712"):
        request(wrapped, PATH_INFO=path)

    assert [key for key, _ in client.messages] == ["checkout.pay", "checkout.pay"]
    assert caplog.text == ""


def test_a_middleware_without_a_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrapping an app without a key, or with a wrong one, raises an error that says what to set."""
    monkeypatch.setenv("METRICS_COLLECTORS", "http://127.0.0.1:9")
    monkeypatch.delenv("METRICS_KEY", raising=False)
    with pytest.raises(ValueError, match=r"pass key= to the middleware, or set METRICS_KEY"):
        WSGIMiddleware(answering([]), Recorder())
    with pytest.raises(ValueError, match="key must be 1 to 128 characters"):
        WSGIMiddleware(answering([]), Recorder(key="checkout.web-1"), key="no spaces")

    with pytest.raises(ValueError, match="METRICS_KEY"):
        WSGIMiddleware(answering([]))


def test_a_client_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A middleware without a client makes one from the environment."""
    recorded: list[tuple[str, float]] = []
    monkeypatch.setenv("METRICS_COLLECTORS", "http://127.0.0.1:9")
    monkeypatch.setenv("METRICS_KEY", "checkout.web-7")
    monkeypatch.setattr(Client, "record", lambda self, key, value: recorded.append((key, value)))
    request(WSGIMiddleware(answering([b"ok"])))

    assert [key for key, _ in recorded] == ["checkout.web-7"]


def failing(environ: WSGIEnvironment) -> str:
    """Raise an error instead of returning a key."""
    raise LookupError(environ["REQUEST_METHOD"])


def test_a_key_or_client_that_fails_changes_no_answer(
    client: Recorder, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """A key or client that fails changes no answer, and is logged at most once a minute."""
    plain = request(answering([b"ok"]))
    broken = Broken(key="checkout.web-1")
    wrapped = WSGIMiddleware(answering([b"ok"]), broken, clock=clock)
    keyed = WSGIMiddleware(answering([b"ok"]), client, key=failing, clock=clock)
    misnamed = WSGIMiddleware(answering([b"ok"]), client, key=lambda _: "no spaces", clock=clock)
    for seconds in (0, 59, 60, 119, 120):
        clock.seconds = seconds
        assert request(wrapped) == request(keyed) == request(misnamed) == plain

    ours = [record for record in caplog.records if record.name == "metrics.client"]
    assert len(ours) == 9
    assert "a request was not recorded" in caplog.text
    assert "RuntimeError('broken')" in caplog.text
    assert "LookupError('GET')" in caplog.text
    assert "got 'no spaces'" in caplog.text
    assert client.messages == []


def test_a_logging_handler_that_fails_changes_no_answer() -> None:
    """A log handler that raises changes no answer."""
    with failing_log() as calls:
        client = Broken(key="checkout.web-1")
        assert request(WSGIMiddleware(answering([b"ok"]), client)).endswith(b"\r\n\r\nok")

    assert len(calls) == 1
