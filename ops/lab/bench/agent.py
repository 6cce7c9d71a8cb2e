"""What a datagram costs from an app to Redis: ``python -m ops.lab.bench.agent``.

Agent, collector, worker and Redis run as they are deployed, and a socket sends one timing in each
datagram at a constant rate. With ``--statsd FOLDER``, in which ``npm install statsd@0.9.0`` was
run, StatsD's own server gets the same load after it. Exit 1 if what was sent is not all counted or
reported.
"""

import argparse
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, time

from tabulate import tabulate

from metrics.hours import Hour
from metrics.store import Store
from ops.lab.cpu import CpuUse
from ops.lab.machine import described, load_average
from ops.lab.service import Service
from ops.lab.system import System, embedded_redis
from ops.local.ports import free_port
from ops.local.waiting import wait_until

KEY = "checkout.web-1"
AGENT_KEY = "agent"
TICK_S = 0.002
"""How often the sender sends: a few datagrams at once, as apps do."""

STATSD_FLUSH_MS = 10_000
HEADERS = ("system", "datagrams/s", "cores", "µs a message", "lost", "by process, cores")


@dataclass(frozen=True, slots=True)
class Target:
    """What datagrams are sent to.

    Attributes:
        name: What it is.
        port: Of UDP.
        processes: Name -> process id, of all that works for it.
    """

    name: str
    port: int
    processes: Mapping[str, int]

    @property
    def lost(self) -> int:
        """How many datagrams the kernel dropped at its socket.

        Source:
            proc(5), ``/proc/net/udp``: the local address, and the drops at the end.
        """
        for line in Path("/proc/net/udp").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == self.port:
                return int(fields[-1])
        raise RuntimeError(f"nothing listens on UDP port {self.port}")


def main(arguments: Sequence[str]) -> int:
    """Print a table, a row for each system and rate."""
    options = _options(arguments)
    print(f"{described()}; {load_average()}")
    rows, complaints = [], []
    for rate in options.rates:
        with _ours() as (target, counted):
            row, sent = _measure(target, rate, options.seconds)
            rows.append(row)
            found = counted()
            if found != sent:
                complaints.append(f"{sent} sent at {rate}/s, {found} counted or reported")
        if options.statsd:
            with _statsd(options.statsd) as target:
                rows.append(_measure(target, rate, options.seconds)[0])
    print(tabulate(rows, HEADERS))
    for complaint in complaints:
        print(f"FAILED: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _measure(target: Target, rate: int, seconds: float) -> tuple[Sequence[object], int]:
    """Send for a while; return the row of the table, and how many were sent."""
    _send(target.port, rate, 1.0)  # what is loaded or allocated once is not counted
    lost, before = target.lost, CpuUse.of(target.processes)
    sent = _send(target.port, rate, seconds)
    used = CpuUse.of(target.processes)
    of_each = used.seconds_since(before)
    took, total_s = used.at - before.at, sum(of_each.values())
    shares = ", ".join(f"{name} {s / took:.3f}" for name, s in of_each.items())
    row = (
        *(target.name, round(sent / took), round(total_s / took, 3), total_s / sent * 1e6),
        *(target.lost - lost, shares),
    )
    return row, sent + rate


def _send(port: int, rate: int, seconds: float) -> int:
    """Send timings at a rate for a while; return how many."""
    timings = [f"{KEY}:{number / 10}|ms".encode() for number in range(10, 1010)]
    total = int(rate * seconds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        begun, sent = monotonic(), 0
        while sent < total:
            due = min(total, int((monotonic() - begun) * rate))
            for number in range(sent, due):
                sender.send(timings[number % len(timings)])
            sent = due
            sleep(TICK_S)
    return sent


@contextmanager
def _ours() -> Iterator[tuple[Target, Callable[[], int]]]:
    """Run the system and an agent; also give what counts the messages and the reported losses."""
    with (
        TemporaryDirectory(prefix="agent-") as name,
        embedded_redis(Path(name)) as redis,
        closing(System(redis, Path(name))) as system,
    ):
        system.start()
        port = free_port()
        agent = Service(
            *("agent", "", Path(name) / "agent.log"),
            command=f"exec python -m metrics statsd --port {port}",
            METRICS_COLLECTORS=system.collector_urls[0],
            METRICS_KEY=AGENT_KEY,
        )
        try:
            agent.start()
            processes = {"agent": agent.pid, **system.processes}
            yield Target("metrics", port, processes), lambda: _counted(agent, system)
        finally:
            agent.kill()


def _counted(agent: Service, system: System) -> int:
    """End the agent, and return how many messages were counted or reported as dropped."""
    if agent.stop():
        raise RuntimeError(agent.log.read_text("utf-8"))
    system.drain()
    system.balanced_audit()
    now = Hour.of(time()).number
    store = Store(system.connection, partitions=len(system.partitions))
    return sum(
        found.aggregate.count + found.aggregate.dropped
        for key in (KEY, AGENT_KEY)
        for found in store.read(key, [Hour(now - 1), Hour(now)])
    )


@contextmanager
def _statsd(folder: Path) -> Iterator[Target]:
    """Run StatsD's own server."""
    port, admin_port = free_port(), free_port()
    settings = {
        "port": port,
        "mgmt_port": admin_port,
        "address": "127.0.0.1",
        "backends": [],
        "flushInterval": STATSD_FLUSH_MS,
    }
    with TemporaryDirectory(prefix="statsd-") as name:
        path = Path(name) / "config.js"
        path.write_text(json.dumps(settings), "utf-8")
        script = folder / "node_modules" / "statsd" / "stats.js"
        server = Service(
            *("statsd", "", Path(name) / "statsd.log"), command=f"exec node {script} {path}"
        ).launch()
        try:
            target = Target("StatsD", port, {"node": server.pid})
            wait_until(lambda: _listens(target), 30, "StatsD listens")
            yield target
        finally:
            server.kill()


def _listens(target: Target) -> bool:
    try:
        return target.lost == 0
    except RuntimeError:
        return False


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.lab.bench.agent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--statsd", type=Path, help="where npm has installed statsd")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
