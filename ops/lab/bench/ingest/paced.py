"""Requests at a fixed rate, from a process of their own: ``Paced`` starts it, and has its result.

wrk sends as much as it can and has no rate. Here each request has a time when it is due; the time
it takes counts from then, so a server that keeps requests waiting cannot hide it by being sent
fewer.

Source:
    Gil Tene, "How NOT to Measure Latency", on coordinated omission.
"""

import json
import select
import shutil
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Self

from ops.lab.bench.ingest.workload import write_files
from ops.lab.latencies import Latencies
from ops.lab.service import ROOT

ANSWERS_TIMEOUT_S = 10.0
"""How long the last requests may take."""

LATE_MAX_S = 2.0
"""Who is further behind at the end does not catch up; the requests that are left are not sent."""

OVERSLEPT_NS = 2_000_000
"""A request that goes out so little after it is due has waited for this sender, not the server."""

_READ_BYTES = 65_536
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Pace:
    """What is sent.

    Attributes:
        requests_per_s: How many become due.
        connections: How many may be under way.
        seconds: For how long.
    """

    requests_per_s: float
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it.

    Attributes:
        due: Requests that were due.
        sent: Requests that were sent; fewer, if the server was too slow for them.
        statuses: Status -> answers that had it.
        latencies: From when a request was due to its answer; of nothing if there was none.
        cpu_s: CPU seconds of the sender.
    """

    due: int
    sent: int
    statuses: dict[int, int]
    latencies: Latencies
    cpu_s: float

    @property
    def errors(self) -> int:
        """Requests that were sent and not answered, or not with success."""
        return self.sent - sum(n for status, n in self.statuses.items() if status // 100 == 2)

    @classmethod
    def parse(cls, printed: str) -> Self:
        """Read what the process prints."""
        told = json.loads(printed)
        return cls(
            due=told["due"],
            sent=told["sent"],
            statuses={int(status): n for status, n in told["statuses"].items()},
            latencies=Latencies(**told["latencies"]),
            cpu_s=told["cpu_s"],
        )


def post(path: str, content_type: str, body: str) -> str:
    """Return a POST as it goes over the wire."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
    )


def get(path: str) -> str:
    """Return a GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Paced:
    """A process that sends requests in turns.

    Args:
        port: Where to, on 127.0.0.1.
        requests: What to send, as it goes over the wire.
        pace: How fast.
        folder: Where the requests are put, in a folder of their own.
    """

    def __init__(self, port: int, requests: Sequence[str], pace: Pace, folder: Path) -> None:
        self._files = write_files(requests, folder)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ops.lab.bench.ingest.paced", str(port), str(self._files)),
                *map(str, (pace.requests_per_s, pace.connections, pace.seconds)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def is_under_way(self) -> bool:
        """Whether it goes on sending."""
        return self._process.poll() is None

    def result(self) -> Answered:
        """Wait for its end, and return what came of it.

        Raises:
            RuntimeError: If it failed; it has told why.
        """
        printed, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError("the sender of the benchmark has failed")
        shutil.rmtree(self._files)
        return Answered.parse(printed)

    def kill(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()


class Sender:
    """The loop of that process.

    Attributes:
        statuses: Status -> answers that had it.
        took_ns: How long each request took.
    """

    def __init__(self, port: int, requests: Sequence[bytes], pace: Pace) -> None:
        self._requests = cycle(requests)
        self._idle = deque(
            socket.create_connection(("127.0.0.1", port)) for _ in range(pace.connections)
        )
        self._by_fd = {line.fileno(): line for line in self._idle}
        self._poll = select.epoll()
        for line in self._idle:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(line, select.EPOLLIN)
        self._begun: dict[int, int] = {}
        self._partial: dict[int, bytes] = {}
        self.statuses: Counter[int] = Counter()
        self.took_ns: list[int] = []

    def run(self, due_ns: Iterable[int], until_ns: int) -> int:
        """Send what becomes due, but nothing after ``until_ns``; return how many were sent."""
        sent = 0
        for due in due_ns:
            while (now := perf_counter_ns()) < due or not self._idle:
                self._read(max(due - now, 0) / 1e9 if self._idle else ANSWERS_TIMEOUT_S)
            if now > until_ns:
                break
            line = self._idle.popleft()
            self._begun[line.fileno()] = due if now - due > OVERSLEPT_NS else now
            line.sendall(next(self._requests))
            sent += 1
        give_up = perf_counter_ns() + int(ANSWERS_TIMEOUT_S * 1e9)
        while self._begun and perf_counter_ns() < give_up:
            self._read(ANSWERS_TIMEOUT_S)
        return sent

    def _read(self, timeout_s: float) -> None:
        for fd, _ in self._poll.poll(timeout_s):
            line = self._by_fd[fd]
            got = line.recv(_READ_BYTES)
            if not got:
                raise ConnectionError("the server hung up")
            answer = self._partial.pop(fd, b"") + got
            if is_whole(answer):
                self.took_ns.append(perf_counter_ns() - self._begun.pop(fd))
                self.statuses[int(answer[9:12])] += 1
                self._idle.append(line)
            else:
                self._partial[fd] = answer


def is_whole(answer: bytes) -> bool:
    """Return whether an answer with a ``Content-Length`` is there to its end."""
    head, end, body = answer.partition(_HEAD_END)
    if not end:
        return False
    length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


def main(arguments: Sequence[str]) -> int:
    """Send the requests of a folder, and print what came of it."""
    port, folder, *numbers = arguments
    requests_per_s, connections, seconds = map(float, numbers)
    pace = Pace(requests_per_s, int(connections), seconds)
    files = sorted(Path(folder).iterdir(), key=lambda path: int(path.name))
    sender = Sender(int(port), [path.read_bytes() for path in files], pace)
    begun, cpu_begun = perf_counter_ns(), process_time()
    due = int(seconds * requests_per_s)
    sent = sender.run(
        (begun + int(i * 1e9 / requests_per_s) for i in range(due)),
        until_ns=begun + int((seconds + LATE_MAX_S) * 1e9),
    )
    cpu_s = process_time() - cpu_begun
    found = Answered(due, sent, dict(sender.statuses), Latencies.of(sender.took_ns), cpu_s)
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
