"""The HTTP server reads the same requests from the same bytes as h11, wherever TCP cuts them.

The server is stricter than h11: it refuses a bare LF as the end of a line, a repeated length, an
invalid Host, white space that RFC 9112 allows to be read as something else, and a Transfer-Encoding
other than chunked. It keeps an HTTP/1.0 connection alive if the client asks for that, and skips
empty lines before a request.
"""

import gc
import json
import socket
import tracemalloc
from http import HTTPStatus
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.server.answer import refusal
from api.server.bodies import TURN_BYTES_MAX, Bodies, BodyReader
from api.server.chunked import LINE_BYTES_MAX, ChunkedDecoder
from api.server.head import HEAD_BYTES_MAX, BadRequestError, HeadCache
from api.server.request import Request
from api.server.turns import Turns
from tests.support.http_streams import (
    CHUNKED,
    GET,
    KEPT,
    POST,
    STREAMS,
    UPGRADE,
    FakeServer,
    PiecewiseSocket,
    Seen,
    ours,
    reference,
)

UNLIKE_H11 = {"upgrade", "both lengths"}
"""h11 leaves the connection to another protocol once it is asked to, and believes the chunks where
a length is told as well."""


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_bytes_are_the_same_requests_wherever_they_are_cut(name: str) -> None:
    """The same bytes are the same requests as with h11, wherever they are cut."""
    data = STREAMS[name]
    whole = ours([data])

    if name not in UNLIKE_H11:
        assert whole == reference(data)
    for cut in range(1, len(data)):
        assert ours([data[:cut], data[cut:]]) == whole, (data[:cut], data[cut:])
    assert ours([data[i : i + 1] for i in range(len(data))]) == whole


def test_an_upgrade_is_ignored() -> None:
    """An upgrade to another protocol is ignored (RFC 9110, section 7.8)."""
    assert ours([UPGRADE + POST]) == [Seen("POST", "/messages", b"a,1", ""), *ours([POST])]


def test_an_older_client_keeps_its_connection_if_it_asks_to() -> None:
    """An HTTP/1.0 client keeps its connection if it asks to (RFC 9112, section 9.3)."""
    assert [seen.target for seen in ours([KEPT + KEPT])] == ["/healthz", "/healthz"]


def post(body: bytes, path: str = "/short") -> bytes:
    """Return a request that a shortcut may answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_a_head_that_is_known_spares_the_app() -> None:
    """A shortcut answers a request whose head is known; without an answer the app gets it once."""
    server = FakeServer([])

    seen = ours([post(b"1"), post(b"2"), post(b"3"), post(b"long"), post(b"long")], server)

    assert server.shortcuts == [b"2", b"3", b"long"]
    assert [request.body for request in seen] == [b"1", b"long", b"long"]
    assert server.declined == [False, False, True]


def test_an_answer_of_a_shortcut_is_nothing_that_the_next_request_hears_of() -> None:
    """A shortcut's answer does not affect the next request, whatever that is."""
    server = FakeServer([])

    ours([post(b"1"), post(b"2"), post(b"33"), post(b"a,1", "/messages")], server)

    assert server.shortcuts == [b"2"]
    assert server.declined == [False, False, False]


def test_a_request_is_gone_once_it_is_answered() -> None:
    """No request waits for the garbage collector, which in a query service seldom comes."""
    gc.collect()
    gc.disable()
    try:
        assert len(ours([GET + POST + CHUNKED, POST])) == 4
        left = [each for each in gc.get_objects() if isinstance(each, Request)]
    finally:
        gc.enable()

    assert not left


def test_known_heads_are_bounded() -> None:
    """The number of known heads is at most 1000, even if each request has a new one."""
    server = FakeServer([])

    ours([post(b"", f"/{number}") for number in range(3000)], server)

    assert 0 < len(server.heads.known) <= 1000


PARTS = st.sampled_from(
    [
        *STREAMS.values(),
        *(POST, GET, CHUNKED) * 5,
        *(b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"a", b"\n", b"\x00", b" ", b"\t"),
        *(b"Content-Length: 3\r\n", b"Host: localhost\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"POST /messages HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"3\r\nabc\r\n", b"X: y\r\n"),
        b"Expect: 1\r\n",
    ]
)
CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=1)), max_size=3)
"""Where a byte is replaced by another, or by none."""


@settings(max_examples=max(300, settings.default.max_examples))
@given(
    st.lists(PARTS, max_size=8).map(b"".join), CHANGES, st.lists(st.integers(1, 400), max_size=4)
)
def test_whatever_is_sent_is_read_as_h11_reads_it(
    data: bytes, changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    """What the server and h11 both take they take in the same way, wherever it is cut."""
    for place, instead in changes:
        data = data[:place] + instead + data[place + 1 :]
    places = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]

    found = ours(pieces)

    assert found == ours([data])
    told = reference(data)
    common = min(len(found), len(told))
    assert found[:common] == told[:common]


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), st.data())
def test_chunks_are_joined_wherever_they_are_cut(chunks: list[bytes], data: st.DataObject) -> None:
    """Chunks are joined wherever they are cut, and bytes behind the body are left."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\nGET"
    cut = data.draw(st.integers(0, len(body)))
    decoder = ChunkedDecoder()

    found = decoder.feed(body[:cut])
    rest = decoder.rest
    if not decoder.is_complete:
        found += decoder.feed(body[cut:])
        rest = decoder.rest
    else:
        rest += body[cut:]

    assert bytes(found) == b"".join(chunks)
    assert decoder.is_complete
    assert rest == b"GET"


@pytest.mark.parametrize(
    "endless", [b"1;" + b"x" * 300, b"0\r\n" + b"A: b\r\n" * 300, b"1" * 300, b"\n"]
)
def test_what_stands_around_chunks_is_bounded(endless: bytes) -> None:
    """An endless chunk extension, trailer, size or line is refused."""
    decoder = ChunkedDecoder()

    with pytest.raises(BadRequestError):
        decoder.feed(endless * 10)


def test_bodies_have_so_much_room_together() -> None:
    """A body in pieces is not taken while the room for all bodies is full, and is afterwards."""
    server = FakeServer([])
    refused: list[int] = []
    server.bodies = Bodies(10, lambda: refused.append(1))
    begun, rest = POST[:-1], POST[-1:]

    assert ours([begun, rest], server) == ours([POST])
    server.bodies.take(10)
    assert refused == []
    assert ours([begun, rest], server) == []
    assert refused == [1]
    assert ours([POST], server) == ours([POST])
    server.bodies.give_back(10)
    assert ours([begun, rest], server) == ours([POST])


@pytest.mark.parametrize("status", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS])
def test_a_request_that_has_no_room_is_stored_for_certain_nowhere(status: HTTPStatus) -> None:
    """The server refuses before the app is asked, and says so: a client may send it again."""
    headers, body = refusal(status, "no room", b"id")

    assert json.loads(body)["stored"] == "no"
    assert dict(headers)["Retry-After"] == "1"


def test_what_is_left_unread_of_a_body_takes_no_room() -> None:
    """A body that was refused is taken in for a while, however long it is, and others have room."""
    server = FakeServer([])
    server.bodies = Bodies(4 * 65_536)
    piece = b"x" * 65_536
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (10 * len(piece))
    connection = cast("socket.socket", PiecewiseSocket([piece] * 10))
    reader = BodyReader(connection, server, Turns(server))
    request = Request({}, HeadCache().read(head), b"", reader.more)
    request.read(len(piece))

    assert reader.is_drained(request, 10.0)
    assert server.bodies.has_room(4 * 65_536)
    reader.give_back()
    assert not server.bodies.has_room(4 * 65_536 + 1)


@pytest.mark.parametrize("length", [4096, 65_536])
def test_so_much_of_all_bodies_is_read_in_a_turn_of_the_loop(length: int) -> None:
    """TURN_BYTES_MAX are read before the event loop looks at its sockets again, in any pieces."""
    bodies = Bodies()

    def bytes_in(turn: int) -> int:
        found = 0
        while found < 2 * TURN_BYTES_MAX and bodies.has_turn(turn):
            bodies.take(length)
            found += length
        return found

    assert all(0 <= bytes_in(turn) - TURN_BYTES_MAX < length for turn in (1, 2))


def test_many_who_trickle_have_their_turns() -> None:
    """Small pieces of very many bodies are read in one turn of the event loop."""
    bodies = Bodies()

    for _ in range(4000):
        assert bodies.has_turn(1)
        bodies.take(1)


def test_nothing_is_made_of_a_body_that_nobody_reads() -> None:
    """What has come of a refused body is thrown away, and not looked at piece by piece."""
    piece = b"x" * 65_536
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (100 * len(piece))
    coming = iter([*[piece] * 60, OSError("late"), *[piece] * 40])

    def more(_: Request) -> bytes:
        data = next(coming)
        if isinstance(data, OSError):
            raise data
        return data

    request = Request({}, HeadCache().read(head), b"", more)
    with pytest.raises(OSError, match="late"):
        request.read()
    tracemalloc.start()
    request.drain()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert request.is_complete
    assert request.read() == b""
    assert peak < 10 * len(piece)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_limit_is_the_same_wherever_it_is_cut(more: int) -> None:
    """The limits of a head and of a chunk's line are the same wherever the bytes are cut."""
    extension = b"x" * (LINE_BYTES_MAX - 2 + more)
    chunked = CHUNKED.replace(b"4;x=y", b"4;" + extension)
    padding = b"x" * (HEAD_BYTES_MAX - len(GET) - len("\r\nX: ") + len("\r\n\r\n") + more)
    long = GET.replace(b"\r\n\r\n", b"\r\nX: " + padding + b"\r\n\r\n")

    for data, end in ((chunked, chunked.index(extension) + len(extension)), (long, len(long) - 4)):
        whole = ours([data])
        assert len(whole) == (more <= 0)
        for cut in range(end - 2, end + 5):
            assert ours([data[:cut], data[cut:]]) == whole, cut
