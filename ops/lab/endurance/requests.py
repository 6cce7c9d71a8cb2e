"""What is sent: batches whose sums tell them apart, and requests that nobody should send."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

BATCH = 10
"""Messages in a good request."""

BODY_BYTES_MAX = 65_536
"""``METRICS_MAX_BODY_BYTES`` of the run, so that one too large is no load of its own."""

VALUE_MAX = 1_000_000
"""Values are whole numbers up to this: no batch that is lost makes up for one counted twice."""

GZIP_SHARE = 0.5
UNKEYED_SHARE = 0.3
"""Of good requests have no idempotency key: these go the collector's shortest way."""

STRANGER = "nobody-knows-this-token"
_GZIPPED = "Content-Encoding: gzip\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what may be answered.

    Attributes:
        kind: What is wrong with it; ``good`` or ``unkeyed`` if nothing is.
        head: Its lines, without ``Authorization`` and the empty one.
        body: What follows these.
        expected: Statuses that it may get. With none the client hangs up without waiting.
        messages: Key -> values that count once it has its 202.
        token: What to show instead of the sender's token.
    """

    kind: str
    head: str
    body: bytes = b""
    expected: Sequence[int] = ()
    messages: Mapping[str, Sequence[int]] | None = None
    token: str = ""

    @property
    def count(self) -> int:
        """How many messages count."""
        return sum(map(len, (self.messages or {}).values()))

    def under(self, token: str) -> bytes:
        """Return its bytes, with a token of the sender."""
        shown = f"{self.head}Authorization: Bearer {self.token or token}\r\n\r\n"
        return shown.encode() + self.body


def get(kind: str, path: str, *expected: int, token: str = "") -> Request:
    """Return a query."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return Request(kind, head, expected=expected, token=token)


def good(random: Random, keys: Sequence[str], name: str, *, spoilt: bool = False) -> Request:
    """Return a batch of two keys under an idempotency key, one time in two gzipped.

    Args:
        random: Draws keys and values.
        keys: All there are, two at least.
        name: The idempotency key.
        spoilt: Whether to add a bad message, which is rejected alone.
    """
    messages = {key: _values(random, BATCH // 2) for key in random.sample(keys, 2)}
    items: list[object] = [{"key": key, "values": values} for key, values in messages.items()]
    if spoilt:
        items.append({"key": keys[0], "value": -1})
    body, more = json.dumps(items).encode(), f"Idempotency-Key: {name}\r\n"
    if random.random() < GZIP_SHARE:
        body, more = gzip.compress(body, 1), more + _GZIPPED
    kind = "one bad message" if spoilt else "good"
    return Request(kind, _head(len(body), more), body, (202,), messages)


def unkeyed(random: Random, keys: Sequence[str]) -> Request:
    """Return a batch of one of ``keys`` that is sent once."""
    key, values = random.choice(keys), _values(random, BATCH)
    body = json.dumps({"key": key, "values": values}).encode()
    return Request("unkeyed", _head(len(body)), body, (202,), {key: values})


def _values(random: Random, count: int) -> list[int]:
    return [random.randint(1, VALUE_MAX) for _ in range(count)]


def _head(
    length: int | None, more: str = "", line: str = "POST /messages", type_: str = "json"
) -> str:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/{type_}\r\n"
        f"{size}\r\n{more}"
    )


def _bad(kind: str, body: bytes, *expected: int, more: str = "", token: str = "") -> Request:
    return Request(kind, _head(len(body), more), body, expected, token=token)


_ONE = b'{"key":"bad.1","value":1}'

BAD: Sequence[Request] = (
    _bad("malformed JSON", b'[{"key":"bad.1","value":', 400),
    _bad("unknown token", _ONE, 401, token=STRANGER),
    _bad("too large", b"[" + b" " * BODY_BYTES_MAX, 413),
    _bad("too large unpacked", gzip.compress(b" " * 2 * BODY_BYTES_MAX), 413, more=_GZIPPED),
    _bad("no gzip", _ONE, 400, more=_GZIPPED),
    _bad("bad timestamp", b'{"key":"bad.1","value":1,"timestamp":1e12}', 400),
    _bad("bad value", b'{"key":"bad.1","value":-1}', 400),
    _bad("bad key", b'{"key":"/","value":1}', 400),
    Request("unknown type", _head(len(_ONE), type_="pdf"), _ONE, (415,)),
    Request("wrong method", _head(len(_ONE), line="PUT /messages"), _ONE, (405,)),
    Request("no route", _head(len(_ONE), line="POST /nothing"), _ONE, (404,)),
    Request("no HTTP", "\x16\x03\x01 hello\r\n", b"", (400,)),
    Request("bad chunk", _head(None), b"no size\r\n", (400,)),
    Request("half a body", _head(1000), _ONE),
    Request("gone before the answer", _head(5), b"[1,2]"),
)
"""Each is sent equally often, and as often ``one bad message`` of ``good``."""

BAD_QUERIES = (
    get("query of a stranger", "/endurance.web-1/median/today/now", 401, token=STRANGER),
    get("query of no date", "/endurance.web-1/median/never/now", 400),
)
