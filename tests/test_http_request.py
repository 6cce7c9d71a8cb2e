"""Heads of requests that are known: the parser is spared, and what it would say is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.http_request import Environ, KnownHeads, NotHTTPError, Request, RequestReader

BASE = {"wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1"}
NAMES = st.sampled_from(["Host", "Accept", "X-Own", "Content-Type", "Authorization", "Expect"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
BODIES = st.binary(max_size=40)


def refuse(request: Request) -> None:
    """Read on in a body that must be there already."""
    raise AssertionError("more was asked for")


def reader_of(heads: KnownHeads, **base: str) -> RequestReader:
    """Return the reader of a new connection."""
    return RequestReader({**BASE, **base}, refuse, heads)


def read(reader: RequestReader, data: bytes) -> tuple[Environ, bytes]:
    """Return the environ and the body of the one request that some bytes are."""
    reader.feed(data)
    (request,) = reader.ready
    reader.ready.clear()
    body = request.read()
    environ = {name: value for name, value in request.environ.items() if value is not request}
    return environ, body


def post(body: bytes, *lines: str, path: str = "/messages") -> bytes:
    """Return a request."""
    head = [f"POST {path} HTTP/1.1", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


@given(st.lists(st.tuples(NAMES, VALUES)), BODIES, BODIES)
def test_a_known_head_means_what_the_parser_read(
    headers: list[tuple[str, str]], first: bytes, second: bytes
) -> None:
    """With a body of its own, and on any connection."""
    heads = KnownHeads()
    lines = [f"{name}: {value}" for name, value in headers]
    read(reader_of(heads), post(first, *lines))
    again = post(second, *lines)

    assert read(reader_of(heads), again) == read(reader_of(KnownHeads()), again)


def test_the_parser_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be of no use."""
    heads = KnownHeads()
    reader = reader_of(heads)
    read(reader, post(b"a,1"))
    monkeypatch.setattr(reader, "_parser", None)

    environ, body = read(reader, post(b"b,2"))

    assert (environ["PATH_INFO"], body) == ("/messages", b"b,2")


def test_each_connection_has_its_own_environ() -> None:
    """A head says nothing of who sent it."""
    heads = KnownHeads()
    read(reader_of(heads), post(b"a,1"))

    environ, _ = read(reader_of(heads, REMOTE_ADDR="10.0.0.1"), post(b"a,1"))

    assert environ["REMOTE_ADDR"] == "10.0.0.1"
    assert environ["CONTENT_LENGTH"] == "3"


def test_a_request_may_be_changed_without_harm() -> None:
    """Its environ is a copy."""
    heads = KnownHeads()
    for _ in range(3):
        reader = reader_of(heads)
        reader.feed(post(b"a,1"))
        environ = reader.ready.popleft().environ
        assert environ.pop("CONTENT_LENGTH") == "3"


def test_an_empty_line_in_front_is_no_head() -> None:
    """Or all that is as long behind one would be a body."""
    heads = KnownHeads()
    request = b"\r\n\r\n" + post(b"a,1")
    read(reader_of(heads), request)

    with pytest.raises(NotHTTPError):
        reader_of(heads).feed(b"\r\n\r\n" + b"x" * (len(request) - 4))


@pytest.mark.parametrize("cut", [10, -4, -1])
def test_a_known_head_may_come_in_pieces(cut: int) -> None:
    """Then the parser reads it."""
    heads = KnownHeads()
    request = post(b"abcdef")
    read(reader_of(heads), request)
    reader = reader_of(heads)
    reader.feed(request[:cut])

    assert read(reader, request[cut:])[1] == b"abcdef"


def test_two_requests_at_once_are_two() -> None:
    """Behind a known head as well."""
    heads = KnownHeads()
    read(reader_of(heads), post(b"a,1"))
    reader = reader_of(heads)
    reader.feed(post(b"a,1") + post(b"b,2"))

    assert [request.read() for request in reader.ready] == [b"a,1", b"b,2"]


@pytest.mark.parametrize(
    "lines", [("Idempotency-Key: 1",), ("Expect: 100-continue",), ("X: " + "x" * 1000,)]
)
def test_what_hardly_comes_again_is_not_remembered(lines: tuple[str, ...]) -> None:
    """It would only push out what does."""
    heads = KnownHeads()
    read(reader_of(heads), post(b"a,1", *lines))

    assert heads.find(post(b"a,1", *lines)) is None


def test_what_is_remembered_is_bounded() -> None:
    """Whoever sends ever new heads."""
    heads = KnownHeads()
    for number in range(3000):
        read(reader_of(heads), post(b"", path=f"/{number}"))

    known = [heads.find(post(b"", path=f"/{number}")) is not None for number in range(3000)]
    assert 0 < sum(known) <= 1000


def test_what_is_refused_is_refused_again() -> None:
    """It is never remembered."""
    heads = KnownHeads()
    request = post(b"a,1", "Content-Length: 4")
    for _ in range(2):
        with pytest.raises(NotHTTPError):
            reader_of(heads).feed(request)
