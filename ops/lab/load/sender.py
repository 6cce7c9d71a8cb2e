"""The process that sends: ``python -m ops.lab.load.sender <plan>``, as ``Load`` starts it.

Each request has a time when it is due, and what it takes counts from then: so a server that keeps
requests waiting cannot hide it by being sent fewer. As the client library does, it sends a batch
again under the same ``Idempotency-Key`` while it is answered with 503, and when a connection
breaks; so each message that it sent must count once. What is due and finds no connection free for
too long is left out.

Source:
    Gil Tene, "How NOT to Measure Latency", on coordinated omission.
"""

import json
import secrets
import select
import socket
import sys
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import cycle
from time import perf_counter, process_time, time

from ops.lab.load.plan import Plan, Tick
from ops.lab.load.posts import Request, get, order_with_hot_key, posts_of
from ops.lab.load.schedule import Schedule
from ops.lab.quantiles import Quantiles

REPEAT_S = 1.0
"""After which a batch is sent again, as ``Retry-After`` of a collector asks for."""

ANSWERS_TIMEOUT_S = 60.0
"""How long after the load what was sent may remain without 202."""

OVERSLEPT_S = 0.002
"""A request that goes out so little after it is due has waited for this process, not the server."""

_READ_BYTES = 65_536
_SEND_BUFFER_BYTES = 1 << 20
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(slots=True)
class _Batch:
    request: bytes
    messages: int
    due: float
    again_at: float = 0.0


@dataclass(slots=True)
class _Line:
    socket: socket.socket
    under_way: _Batch | None = None
    received: bytes = b""


class Sender:
    """The loop of that process.

    Args:
        plan: What is sent.
        requests: Without end.
        repeat_s: After how long a batch that was not taken is sent again.
    """

    def __init__(
        self, plan: Plan, requests: Iterator[Request], *, repeat_s: float = REPEAT_S
    ) -> None:
        self._plan = plan
        self._repeat_s = repeat_s
        self._requests = requests
        self._run = secrets.token_hex(8)
        self._schedule = Schedule(0.0, 0.0, 0.0)
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._idle: deque[_Line] = deque()
        for _ in range(plan.connections):
            self._connect()
        self._again: deque[_Batch] = deque()
        self._sent = self._accepted = self._broken = self._settled = 0
        self._statuses: Counter[int] = Counter()
        self._took_ns, self._took_lately_ns = array("q"), array("q")

    def run(self, report: Callable[[Tick], None]) -> None:
        """Send, and report how it fares: at the beginning, now and then, and in the end."""
        plan = self._plan
        begun = tick_due = perf_counter()
        self._schedule = Schedule(plan.messages_per_s / plan.batch, begun, plan.seconds)
        until = begun + plan.seconds
        while (now := perf_counter()) < until or (
            self._settled < self._sent and now < until + ANSWERS_TIMEOUT_S
        ):
            if now >= tick_due:
                report(self._tick(now, self._took_lately_ns))
                self._took_lately_ns = array("q")
                tick_due += plan.tick_s
            batch = self._next(now) if self._idle else None
            if batch is None:
                self._read(self._pause_s(now, tick_due, until))
            else:
                self._send(batch)
        report(self._tick(now, self._took_ns, is_last=True))

    def close(self) -> None:
        """Close the connections."""
        self._poll.close()
        for line in self._lines.values():
            line.socket.close()

    def _next(self, now: float) -> _Batch | None:
        """Return what to send now: what must be repeated is first."""
        if self._again and self._again[0].again_at <= now:
            return self._again.popleft()
        due = self._schedule.take(now)
        if due is None:
            return None
        request = next(self._requests)
        self._sent += request.messages
        began = due if now - due > OVERSLEPT_S else now
        key = f"{self._run}-{self._schedule.taken}" if self._plan.has_keys else ""
        return _Batch(request.under(key), request.messages, began)

    def _pause_s(self, now: float, tick_due: float, until: float) -> float:
        """Return how long nothing will be there to send; a line that is free ends it as well."""
        wake = tick_due
        if self._idle and now < until:
            wake = min(wake, self._schedule.next_due, until)
        if self._idle and self._again:
            wake = min(wake, self._again[0].again_at)
        return max(wake - now, 0.0)

    def _send(self, batch: _Batch) -> None:
        line = self._idle.popleft()
        line.under_way = batch
        try:
            line.socket.sendall(batch.request)
        except ConnectionError:
            self._break(line)

    def _read(self, timeout_s: float) -> None:
        for fd, _ in self._poll.poll(timeout_s):
            line = self._lines[fd]
            try:
                got = line.socket.recv(_READ_BYTES)
            except ConnectionError:
                got = b""
            line.received += got
            if not got:
                self._break(line)
            elif is_whole(line.received):
                self._answered(line)

    def _answered(self, line: _Line) -> None:
        batch, answer = line.under_way, line.received
        line.under_way, line.received = None, b""
        self._idle.append(line)
        if batch is None:
            raise ConnectionError(f"an answer to nothing: {answer!r}")
        status = int(answer[9:12])
        self._statuses[status] += 1
        now = perf_counter()
        if status == HTTPStatus.SERVICE_UNAVAILABLE and self._plan.has_keys:
            batch.again_at = now + self._repeat_s
            self._again.append(batch)
            return
        self._settled += batch.messages
        if status in {HTTPStatus.ACCEPTED, HTTPStatus.OK}:
            is_query = status == HTTPStatus.OK
            self._accepted += (
                1 if is_query else json.loads(answer.partition(_HEAD_END)[2])["accepted"]
            )
            took_ns = int((now - batch.due) * 1e9)
            self._took_ns.append(took_ns)
            self._took_lately_ns.append(took_ns)

    def _break(self, line: _Line) -> None:
        """Replace a connection that was closed; what was under way on it is sent again."""
        if line in self._idle:
            self._idle.remove(line)
        if line.under_way is not None:
            self._broken += 1
            line.under_way.again_at = perf_counter() + self._repeat_s
            if self._plan.has_keys:
                self._again.append(line.under_way)
            else:
                self._settled += line.under_way.messages
        del self._lines[line.socket.fileno()]
        line.socket.close()
        self._connect()

    def _connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self._plan.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        line = self._lines[raw.fileno()] = _Line(raw)
        self._poll.register(raw, select.EPOLLIN)
        self._idle.append(line)

    def _tick(self, now: float, took_ns: Sequence[int], *, is_last: bool = False) -> Tick:
        return Tick(
            due=self._schedule.due(now) * self._plan.batch,
            sent=self._sent,
            accepted=self._accepted,
            statuses=dict(self._statuses),
            broken=self._broken,
            cpu_s=process_time(),
            took_ns=Quantiles.of(took_ns) if took_ns else None,
            is_last=is_last,
        )


def is_whole(answer: bytes) -> bool:
    """Return whether an answer with a ``Content-Length`` is there to its end."""
    head, end, body = answer.partition(_HEAD_END)
    if not end:
        return False
    length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


def requests_of(plan: Plan, now: float) -> list[Request]:
    """Return the requests of a plan in the order in which to send them, again and again."""
    if plan.paths:
        return [get(path) for path in plan.paths]
    posts = posts_of(plan.form, plan.key_names, plan.batch, now)
    if plan.hot is None:
        return posts
    return [posts[i] for i in order_with_hot_key(len(posts), plan.keys, plan.hot)]


def main(arguments: Sequence[str]) -> int:
    """Send what a plan says, and print each tick as a line of JSON."""
    plan = Plan(**json.loads(arguments[0]))
    sender = Sender(plan, cycle(requests_of(plan, time())))
    sender.run(lambda tick: print(json.dumps(asdict(tick)), flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
