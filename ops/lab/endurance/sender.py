"""The process that sends: ``python -m ops.lab.endurance.sender <orders>``, as ``Load`` starts it.

A greenlet for each connection. A batch is sent again under its idempotency key until it has its
202, over whichever collector is there; what has it is in the ledger, which is a file in the end.
Tokens are read again from their files once a second, as an operator changes them.
"""

import json
import secrets
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter, process_time

import gevent
from gevent import socket
from gevent.queue import Queue

from ops.lab.endurance.requests import BAD, BAD_QUERIES, BATCH, Request, get, good, unkeyed
from ops.lab.endurance.requests import UNKEYED_SHARE as UNKEYED
from ops.lab.load.messages import keys_of
from ops.lab.load.plan import Plan, Tick
from ops.lab.load.schedule import Schedule
from ops.lab.load.sender import is_whole
from ops.lab.quantiles import Quantiles

QUERIES_PER_S = 5.0
REPEAT_S = 0.5
ANSWER_TIMEOUT_S = 30.0
ANSWERS_TIMEOUT_S = 90.0
"""How long after the load what was sent may remain without 202."""

REQUESTS_PER_CONNECTION = 500
"""Then a client hangs up and comes back, as apps do that are deployed anew."""

TRY_LATER = (429, 503)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders(Plan):
    """What is sent, beside what every load has.

    Attributes:
        ports: Of the collectors; each client prefers one, and takes another while that is away.
        query_port: Of the query service.
        token_files: With the token to write with, and the one to read with.
        bad: Share of bad requests, 0 to 1.
        seed: Decides what is sent.
        ledger_file: Where the ledger is written in the end.
    """

    ports: Sequence[int]
    query_port: int
    token_files: Sequence[str]
    bad: float
    seed: int
    ledger_file: str

    @property
    def keys_once(self) -> list[str]:
        """Keys of messages that have no idempotency key."""
        return keys_of(f"{self.app}-once", self.keys)


class Client:
    """One connection at a time, to the first of some ports that takes it.

    Args:
        ports: On 127.0.0.1, the preferred one first.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._socket: socket.socket | None = None
        self._requests = 0

    def exchange(self, sent: bytes, *, hangs_up: bool) -> bytes:
        """Send bytes, and return the answer to them.

        Raises:
            OSError: If there is none.
        """
        answer, closes = b"", True
        try:
            self._socket = line = self._socket or self._connect()
            line.sendall(sent)
            while not (hangs_up or is_whole(answer)):
                got = line.recv(65_536)
                if not got:
                    raise ConnectionAbortedError("the connection ended before the answer")
                answer += got
            self._requests += 1
            says = b"\r\nconnection: close" in answer.partition(_HEAD_END)[0].lower()
            closes = hangs_up or says or self._requests % REQUESTS_PER_CONNECTION == 0
            return answer
        finally:
            if closes:
                self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        for port in self._ports:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S)
        raise ConnectionRefusedError(f"nobody is at {self._ports}")


class Sender:
    """All of these clients, and the ledger: key -> messages with a 202, and their sum.

    Args:
        orders: What they do.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._random = Random(orders.seed)  # noqa: S311
        self._keys = orders.key_names
        self._ledger = {key: [0, 0] for key in (*self._keys, *orders.keys_once)}
        self._sent = self._accepted = self._broken = self._unknown = 0
        self._statuses: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._took_ns, self._took_lately_ns = array("q"), array("q")
        # What finds no connection for a second is left out, by the schedule.
        self._queue: Queue[tuple[float, Request] | None] = Queue(1)
        begun = perf_counter()
        self._until = begun + orders.seconds
        self._schedule = Schedule(orders.messages_per_s / BATCH, begun, orders.seconds)

    def run(self, report: Callable[[Tick], None]) -> None:
        """Send, say now and then how it fares, and write the ledger."""
        orders = self._orders
        self._read_tokens()
        greenlets = [gevent.spawn(self._dispatch), gevent.spawn(self._query)]
        for number in range(orders.connections):
            first = number % len(orders.ports)
            client = Client([*orders.ports[first:], *orders.ports[:first]])
            greenlets.append(gevent.spawn(self._serve, client))
        tick_due = perf_counter()
        give_up = self._until + ANSWERS_TIMEOUT_S
        while not all(each.dead for each in greenlets) and perf_counter() < give_up:
            self._read_tokens()
            if perf_counter() >= tick_due:
                report(self._tick(self._took_lately_ns))
                self._took_lately_ns = array("q")
                tick_due += orders.tick_s
            gevent.joinall(greenlets, timeout=1.0)
        gevent.killall(greenlets)
        told = {"ledger": self._ledger, "kinds": self._kinds, "wrong": self._wrong}
        Path(orders.ledger_file).write_text(json.dumps({**told, "unknown": self._unknown}), "utf-8")
        report(self._tick(self._took_ns, is_last=True))

    def _dispatch(self) -> None:
        run = secrets.token_hex(4)
        for number in count(1):
            while (due := self._schedule.take(now := perf_counter())) is None and now < self._until:
                gevent.sleep(min(max(self._schedule.next_due - now, 0.0005), 0.1))
            if due is None:
                break
            request = self._draw(f"{run}-{number}")
            self._sent += request.count
            self._queue.put((due, request))
        for _ in range(self._orders.connections):
            self._queue.put(None)

    def _draw(self, name: str) -> Request:
        random = self._random
        if random.random() < self._orders.bad:
            bad = random.choice([None, *BAD])
            return bad or good(random, self._keys, name, spoilt=True)
        if random.random() < UNKEYED:
            return unkeyed(random, self._orders.keys_once)
        return good(random, self._keys, name)

    def _serve(self, client: Client) -> None:
        for due, request in iter(self._queue.get, None):
            self._until_known(client, request, 0)
            if request.kind == "good":
                took_ns = int((perf_counter() - due) * 1e9)
                self._took_ns.append(took_ns)
                self._took_lately_ns.append(took_ns)
        client.close()

    def _query(self) -> None:
        client, random = Client([self._orders.query_port]), Random(self._orders.seed)  # noqa: S311
        while perf_counter() < self._until:
            key = random.choice(self._keys)
            paths = (f"/{key}/p99/today/now", f"/{key}/summary/today/now", "/keys")
            asked = get("query", random.choice(paths), 200, 404)
            if random.random() < self._orders.bad:
                asked = random.choice(BAD_QUERIES)
            self._until_known(client, asked, 1)
            gevent.sleep(1 / QUERIES_PER_S)
        client.close()

    def _until_known(self, client: Client, request: Request, token: int) -> None:
        """Send a request until it has an answer that is one."""
        self._kinds[request.kind] += 1
        while (status := self._ask(client, request, self._tokens[token])) in (None, *TRY_LATER):
            if request.kind == "unkeyed":
                self._unknown += request.count
                return
            gevent.sleep(REPEAT_S)
        if status not in (request.expected or (0,)):
            self._wrong[f"{request.kind}: {status}"] += 1

    def _ask(self, client: Client, request: Request, token: str) -> int | None:
        """Send a request once; return the status of its answer, 0 if none is expected."""
        try:
            answer = client.exchange(request.under(token), hangs_up=not request.expected)
        except OSError:
            self._broken += 1
            return None
        status = int(answer[9:12] or 0)
        self._statuses[status] += 1
        if status == 202 and request.messages:
            accepted = json.loads(answer.partition(_HEAD_END)[2])["accepted"]
            if accepted != request.count:
                self._wrong[f"{request.kind}: {accepted} accepted"] += 1
            self._accepted += request.count
            for key, values in request.messages.items():
                self._ledger[key][0] += len(values)
                self._ledger[key][1] += sum(values)
        return status

    def _read_tokens(self) -> None:
        self._tokens = [Path(file).read_text("utf-8") for file in self._orders.token_files]

    def _tick(self, took_ns: Sequence[int], *, is_last: bool = False) -> Tick:
        return Tick(
            due=self._schedule.due(perf_counter()) * BATCH,
            sent=self._sent,
            accepted=self._accepted,
            statuses=dict(self._statuses),
            broken=self._broken,
            cpu_s=process_time(),
            took_ns=Quantiles.of(took_ns) if took_ns else None,
            is_last=is_last,
        )


def main(arguments: Sequence[str]) -> int:
    """Send as ordered, and print each tick as a line of JSON."""
    sender = Sender(Orders(**json.loads(arguments[0])))
    sender.run(lambda tick: print(json.dumps(asdict(tick)), flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
