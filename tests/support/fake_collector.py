"""This fake collector, for tests of clients, remembers what came and gives set answers."""

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOUR_S = 3600


@dataclass(frozen=True)
class Request:
    """The content of one POST.

    Attributes:
        headers: By their names in small letters.
        raw: The body as it came.
        port: Of the client's side of the connection: the same for requests on the same one.
    """

    headers: dict[str, str]
    raw: bytes
    port: int

    @property
    def key(self) -> str:
        """Return its idempotency key."""
        return self.headers["idempotency-key"]

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return the columns and loss reports in it."""
        is_gzip = self.headers.get("content-encoding") == "gzip"
        content = json.loads(gzip.decompress(self.raw) if is_gzip else self.raw)
        return content if isinstance(content, list) else [content]

    @property
    def messages(self) -> int:
        """Return how many values it has."""
        return sum(
            len(item.get("values", ())) + item.get("aggregate", {}).get("count", 0)
            for item in self.items
        )


Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""

NO_REPLY: Reply = (0, {}, b"")
"""Close the connection without a word."""


def taken(request: Request) -> Reply:
    """Answer as a collector that is well."""
    return 202, {}, json.dumps({"accepted": request.messages, "rejected": 0}).encode()


def refusing(status: int, **members: object) -> Callable[[Request], Reply]:
    """Return a function that answers with a problem."""
    headers = {"Retry-After": str(members.pop("retry_after"))} if "retry_after" in members else {}
    return lambda _: (status, headers, json.dumps(members).encode())


@dataclass
class FakeCollector:
    """Remembers requests and answers them.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        requests: What came, answered or not.
        counted: What a collector would have counted: requests answered with 202, each key once.
        answer: What the next requests are answered with.
        script: What the very next requests are answered with, one after the other, before that.
        gate: Answers wait until it is set.
    """

    port: int
    requests: list[Request] = field(default_factory=list)
    counted: dict[str, Request] = field(default_factory=dict)
    answer: Callable[[Request], Reply] = taken
    script: list[Callable[[Request], Reply]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Return its URL, as a client needs it."""
        return f"http://127.0.0.1:{self.port}"

    def values(self, key: str) -> list[float]:
        """Return what counts for a key, in the order in which it came."""
        return [value for item in self._items() if item["key"] == key for value in item["values"]]

    def hours(self, key: str) -> Counter[int]:
        """Return how many values count for a key in each hour since 1970."""
        return Counter(
            int(timestamp) // HOUR_S
            for item in self._items()
            if item["key"] == key
            for timestamp in item["timestamps"]
        )

    def aggregates(self, key: str) -> list[dict[str, Any]]:
        """Return the client aggregates that count for a key."""
        return [
            item["aggregate"]
            for request in list(self.counted.values())
            for item in request.items
            if item["key"] == key and "aggregate" in item
        ]

    def count(self, key: str) -> int:
        """Return how many values count for a key, folded or not."""
        folded = sum(aggregate["count"] for aggregate in self.aggregates(key))
        return len(self.values(key)) + folded

    def dropped(self, key: str) -> int:
        """Return how many were reported as dropped for a key."""
        return sum(
            item["dropped"]
            for request in list(self.counted.values())
            for item in request.items
            if item["key"] == key and "dropped" in item
        )

    def reply_to(self, request: Request) -> Reply:
        """Remember a request, and say what to answer."""
        self.requests.append(request)
        self.gate.wait(120)
        answer = self.script.pop(0) if self.script else self.answer
        reply = answer(request)
        if reply[0] == 202:
            self.counted.setdefault(request.key, request)
        return reply

    def _items(self) -> Iterator[dict[str, Any]]:
        for request in list(self.counted.values()):
            yield from (item for item in request.items if "values" in item)


@contextmanager
def fake_collector(
    *, port: int = 0, script: Sequence[Callable[[Request], Reply]] = ()
) -> Iterator[FakeCollector]:
    """Run a fake collector, on a free port if none is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = fake.reply_to(Request(headers, raw, self.client_address[1]))
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """Ignore clients that go away."""

    with Server(("127.0.0.1", port), Handler) as server:
        fake = FakeCollector(server.server_address[1], script=list(script))
        fake.gate.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            fake.gate.set()
            server.shutdown()
            thread.join()
