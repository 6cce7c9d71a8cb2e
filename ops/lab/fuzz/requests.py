"""Requests: heads and chunks of HTTP, and whole questions to the query service."""

import io
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import quote_from_bytes

import falcon
from falcon import testing

from api.query.app import create_app
from api.server.bodies import CHUNKED_RECV_BYTES
from api.server.chunked import ChunkedDecoder
from api.server.head import END, HEAD_BYTES_MAX, BadRequestError, Head, HeadCache, Probe
from metrics.connection import Connection
from metrics.errors import InvalidQueryError
from metrics.settings import Settings
from ops.lab.fuzz.bodies import ARRIVAL
from ops.lab.fuzz.target import Pause, Target, require

NOWHERE = "redis://127.0.0.1:1"
"""Where no Redis is: a question that can be asked is answered 503, any other 4xx."""

_CUTS = 4


def _read_head(data: bytes, _: Pause) -> Head:
    data = (data.partition(END)[0] + END)[-HEAD_BYTES_MAX:]
    probe = Probe()
    try:
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            probe.feed(piece)
    except BadRequestError:
        pass
    return HeadCache().read(data)


def _check_head(_: bytes, head: Head) -> None:
    environ = head.environ
    for name, value in environ.items():
        require(not set(value) & {"\r", "\n", "\0"} or name == "PATH_INFO", "a line ends", name)
    require(head.length is None or head.length >= 0, "a body has no length", head)
    if not environ["PATH_INFO"].startswith("/") or environ["PATH_INFO"].startswith("//"):
        return
    again = HeadCache().read(_written(environ))
    require(again.environ == environ, "a head reads otherwise", environ, again.environ)
    require(
        (again.length, again.is_old) == (head.length, head.is_old), "a body reads otherwise", head
    )


def _written(environ: dict[str, Any]) -> bytes:
    """Return the head that an environ is read from."""
    target = quote_from_bytes(environ["PATH_INFO"].encode("latin-1"))
    query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
    lines = [f"{environ['REQUEST_METHOD']} {target}{query} {environ['SERVER_PROTOCOL']}"]
    for name, value in environ.items():
        header = name.removeprefix("HTTP_").replace("_", "-")
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            lines.append(f"{header}: {value}")
    return "\r\n".join(lines).encode("latin-1") + END


Decoded = tuple[bytes, bytes, bool]
"""The data of chunks, what stands behind them, and whether their end has come."""


def _decode(pieces: Iterable[bytes]) -> Decoded:
    decoder = ChunkedDecoder()
    data, rest = b"", b""
    for piece in pieces:
        if decoder.is_complete:
            rest += piece
        else:
            data += decoder.feed(piece)
            rest = decoder.rest
    return data, rest, decoder.is_complete


def _read_chunks(data: bytes, pause: Pause) -> Decoded:
    return _decode(_received(data, pause))


def _received(data: bytes, pause: Pause) -> Iterator[bytes]:
    """Yield what a connection reads at a time."""
    for start in range(0, len(data), CHUNKED_RECV_BYTES):
        yield data[start : start + CHUNKED_RECV_BYTES]
        pause()


def _check_chunks(data: bytes, decoded: Decoded) -> None:
    for cut in {len(data) * i // _CUTS for i in range(1, _CUTS)}:
        try:
            found = _decode([data[:cut], data[cut:]])
        except BadRequestError as error:
            require(False, "cut elsewhere it is refused", cut, str(error))
        else:
            require(found == decoded, "cut elsewhere it reads otherwise", cut, found, decoded)
    body, rest, is_complete = decoded
    if is_complete:
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        again = _decode([chunk + b"0\r\n\r\n" + rest])
        require(again == decoded, "what was read reads otherwise", again)


@cache
def _app() -> Any:  # noqa: ANN401  (falcon.App has two parameters of its own)
    """Return the query service, with tokens, and no Redis."""
    settings = Settings.from_env({"REDIS_URL": NOWHERE, "METRICS_READ_TOKENS": "a.*=secret"})
    connection = Connection.open(NOWHERE, timeout_s=1.0, connections_max=2)
    return create_app(connection, settings, now=lambda: ARRIVAL)


def _ask(data: bytes, _: Pause) -> tuple[int, str, bytes]:
    """Return status, type and body of the answer to a request: a target, and a header a line."""
    target, *lines = data.decode("latin-1").split("\n")
    path, query = target.partition("?")[::2]
    environ = testing.create_environ(path="/", headers={"Authorization": "Bearer secret"})
    environ |= {"PATH_INFO": f"/{path}", "QUERY_STRING": query, "wsgi.errors": io.StringIO()}
    for line in lines[:20]:
        name, value = line.partition(":")[::2]
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()
    answered: list[tuple[str, list[tuple[str, str]]]] = []
    body = b"".join(_app()(environ, lambda status, headers: answered.append((status, headers))))
    status, headers = answered[0]
    return int(status[:3]), dict(headers).get("content-type", ""), body


def _check_answer(_: bytes, answer: tuple[int, str, bytes]) -> None:
    status, content_type, body = answer
    require(status != 500, "a fault of ours", answer)
    if status >= 400:
        require(content_type.startswith("application/problem+json"), "no problem+json", answer)
        require(b'"detail":"' in body and len(body) < 2000, "a problem says nothing", answer)
    require(b"secret" not in body and b"127.0.0.1:1" not in body, "an answer tells", answer)


HEAD: Target[Head] = Target(
    _read_head,
    (BadRequestError,),
    _check_head,
    [
        b"GET /prod.api-1/median/2026-11-23/14?x=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*",
        b"POST /messages HTTP/1.1\r\nHost: [::1]:80\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close",
        b"POST http://a/b%2f?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX_Y: z",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nUpgrade: h2c\r\nA: b\r\n c",
        b"PRI * HTTP/2.0",
    ],
)

CHUNKS: Target[Decoded] = Target(
    _read_chunks,
    (BadRequestError,),
    _check_chunks,
    [
        b"3\r\na,1\r\n4;x=y\r\n\na,2\r\n0\r\nContent-Type: text/html\r\n\r\nGET / HTTP/1.1\r\n",
        b"0\r\n\r\n",
        b"fffffffff\r\n",
        b"1 ; a\r\nx\r\n00\r\n: y\r\n\r\n",
    ],
)

QUESTION: Target[tuple[int, str, bytes]] = Target(
    _ask,
    (InvalidQueryError, falcon.HTTPError),
    _check_answer,
    [
        b"a.b/median/2026-11-23/14?tz=Europe/Berlin&compare=7d\nAccept: text/csv;q=0.5, */*",
        b'a.*/p99.9/yesterday..today?compare=28d\nIf-None-Match: W/"x", *',
        b"a.b/under300/today/now\nAccept: image/svg+xml",
        b"a.*/keys/2026-11-23T14..2026-11-23T15?limit=5",
        b"keys?prefix=a.&after=a.b&limit=5",
        b"export/prometheus?prefix=a.\nAccept: application/openmetrics-text",
        b"audit\nOrigin: https://evil.example\nHost: a:b",
        b"\nAccept: text/html\nHost: [::1]:8100\nSec-Fetch-Site: cross-site",
        b"openapi.json\nAuthorization: Basic eDp5",
    ],
)
