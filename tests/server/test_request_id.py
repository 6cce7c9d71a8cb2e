"""Every answer has the id of its request and the headers that keep a browser from misreading it."""

import json
import re
import socket
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.server.connection import Connection
from api.server.request_id import current_request_id, id_of
from tests.support.http_streams import FakeServer, PiecewiseSocket

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n%b\r\n"
SHORT = b"POST /short HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
Answer = tuple[dict[str, str], str]
"""Headers by their names in lower case, and the body."""

MADE = re.compile(r"[0-9a-f]{16}")


def answers_to(*pieces: bytes, server: FakeServer | None = None) -> list[Answer]:
    """Return headers and body of each answer of a connection."""
    piecewise = PiecewiseSocket(pieces)
    server = server or FakeServer([])
    Connection(cast("socket.socket", piecewise), ("127.0.0.1", 1), server).handle()
    found = []
    for answer in re.split(r"(?=HTTP/1\.1 \d)", piecewise.sent.decode())[1:]:
        head, _, body = answer.partition("\r\n\r\n")
        lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
        headers = {name.lower(): value for name, _, value in lines}
        assert len(headers) == len(lines), "a header twice"
        found.append((headers, body))
    return found


def test_each_request_has_an_id_of_its_own() -> None:
    """Requests of one connection, plain, pipelined or by their shortcut, have different ids."""
    server = FakeServer([])
    short = SHORT % (1, b"x")
    found = answers_to(
        GET % (b"", b"") * 2, short, short, short, SHORT % (4, b"long"), server=server
    )
    ids = [headers["x-request-id"] for headers, _ in found]

    assert len(server.shortcuts) == 2
    assert len(set(ids)) == len(ids) == 6
    assert all(map(MADE.fullmatch, ids))


@pytest.mark.parametrize("client_id", ["web-1.42", "a" * 128, "01F8MECHZX3TBDSZ7XRADM79XE"])
def test_an_id_of_the_client_is_kept(client_id: str) -> None:
    """A client, or a proxy before us, may name the request: up to 128 characters of a key."""
    ((headers, _),) = answers_to(GET % (b"", f"X-Request-Id: {client_id}\r\n".encode()))

    assert headers["x-request-id"] == client_id


@pytest.mark.parametrize(
    "lines",
    [
        *("X-Request-Id: ", "X-Request-Id: a b", "X-Request-Id: a\x1b[2J", "X-Request-Id: \xe9"),
        *(f"X-Request-Id: {'a' * 129}", "X-Request-Id: a\r\nX-Request-Id: b"),
    ],
)
def test_an_id_that_is_not_sane_is_replaced(lines: str) -> None:
    """One that is empty, too long, doubled or of other characters gives way to one of ours."""
    for headers, _ in answers_to(GET % (b"", f"{lines}\r\n".encode("latin-1"))):
        assert MADE.fullmatch(headers["x-request-id"])


@given(client_id=st.text() | st.from_regex(r"[A-Za-z0-9._:-]{1,130}\n?", fullmatch=True))
def test_whatever_a_client_sends_an_id_can_stand_in_a_header_and_in_a_log(client_id: str) -> None:
    """An id is 1 to 128 characters of A-Z a-z 0-9 . _ : - in any case."""
    assert re.fullmatch(rb"[A-Za-z0-9._:-]{1,128}", id_of(client_id, lambda: b"made"))


def test_heads_with_an_id_are_not_remembered() -> None:
    """Each has another id, so remembering them would only push out those that come again."""
    server = FakeServer([])
    answers_to(*(GET % (b"", b"X-Request-Id: %d\r\n" % i) for i in range(5)), server=server)

    assert not server.heads.known


def test_an_error_of_the_server_names_the_request() -> None:
    """What is no HTTP is refused with an id, the same in the header and in the body."""
    (_, (headers, body)) = answers_to(GET % (b"", b""), b"nonsense\r\n\r\n")

    assert json.loads(body)["request_id"] == headers["x-request-id"]


def test_the_app_knows_which_request_it_answers() -> None:
    """While a request is answered its id can be asked for, and outside there is none."""
    seen = []

    class Asking(FakeServer):
        def application(self, environ: dict, start_response: object) -> list[bytes]:
            seen.append(current_request_id())
            return super().application(environ, start_response)  # type: ignore[arg-type]

    found = answers_to(GET % (b"", b"") + GET % (b"", b"X-Request-Id: b\r\n"), server=Asking([]))

    assert seen == [headers["x-request-id"] for headers, _ in found]
    assert seen[1] == "b"


def test_every_answer_has_the_headers_for_browsers_and_none_says_what_serves_it() -> None:
    """Answers of the app, of shortcuts and of the server itself are nosniff, without a Server."""
    found = answers_to(GET % (b"", b""), SHORT % (1, b"x"), SHORT % (1, b"x"), b"nonsense\r\n\r\n")

    assert len(found) == 4
    for headers, _ in found:
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert not {"server", "via", "x-powered-by"} & headers.keys()


def test_an_app_may_have_a_policy_of_its_own() -> None:
    """A header that the app gives stands instead of ours: the pages need their scripts."""

    class Page(FakeServer):
        def application(self, environ: dict, start_response: object) -> list[bytes]:
            start_response("200 OK", [("content-security-policy", "default-src 'self'")])  # type: ignore[operator]
            return []

    ((headers, _),) = answers_to(GET % (b"", b""), server=Page([]))

    assert headers["content-security-policy"] == "default-src 'self'"
