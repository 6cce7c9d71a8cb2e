"""How long others wait beside a sender of very many new keys: ``python -m ops.lab.bench.new_keys``.

Collector, worker and Redis run as they are deployed. One sender brings new keys in large requests,
as fast as it is let; another sends single messages of known keys, and it is measured when each of
these is counted. ``--busy`` starts processes that want a core for nothing. Exit 1 if the slowest
took longer than a second, or if not all was counted.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, sleep, time

from metrics.connection import Connection, command
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from ops.lab.machine import described, load_average
from ops.lab.system import Redis, System, embedded_redis

SLOWEST_MAX_S = 1.0
KNOWN = [f"known-{i}" for i in range(1_000)]
"""More than a sender sends while it waits for one to be counted."""

POSTS_PER_SECOND = 40
LOOK_PAUSE_S = 0.005
KEYS_MAX = 1_000_000
CALM_S = 2.0
"""How long known keys are sent before new ones come, and after."""


@dataclass(slots=True)
class Others:
    """Single messages of known keys, and when each was counted.

    Attributes:
        posted: Key -> how many were posted, and when the last was.
        delays: From the POST until it was counted, in seconds.
        refused: How many were not answered 202.
    """

    posted: dict[str, tuple[int, float]] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    refused: int = 0

    def send(self, port: int, stop: Event) -> None:
        """Post until it is enough."""
        counts = dict.fromkeys(KNOWN, 1)
        for number in _ticks(POSTS_PER_SECOND, stop):
            key = KNOWN[number % len(KNOWN)]
            counts[key] += 1
            began = monotonic()
            if _post(port, [[key, 1.0]]) == HTTPStatus.ACCEPTED:
                self.posted[key] = counts[key], began
            else:
                self.refused += 1
                counts[key] -= 1

    def look(self, connection: Connection, partitions: int, stop: Event) -> None:
        """Look what is counted, until nothing is left to be."""
        hour = Hour.of(time())
        while self.posted or not stop.is_set():
            waiting = dict(self.posted)
            names = [_hash_of(key, hour, partitions) for key in waiting]
            found = connection.execute([command("HGET", each, "count") for each in names])
            now = monotonic()
            for (key, (count, began)), reply in zip(waiting.items(), found, strict=True):
                if isinstance(reply, bytes) and int(reply) >= count:
                    self.delays.append(now - began)
                    del self.posted[key]
            sleep(LOOK_PAUSE_S)


def main(arguments: Sequence[str]) -> int:
    """Print how long others waited."""
    options = _options(arguments)
    print(f"{described()}; {load_average()}")
    with (
        TemporaryDirectory(prefix="metrics-lab-") as folder,
        embedded_redis(Path(folder)) as redis,
        closing(_system(redis, Path(folder), options)) as system,
        _busy(options.busy),
    ):
        return _run(system, options)


def _run(system: System, options: argparse.Namespace) -> int:
    port = system.collectors[0].port
    _post(port, [[key, 1.0] for key in KNOWN])
    system.drain()
    others, stop, looked = Others(), Event(), Event()
    partitions = len(system.partitions)
    threads = [
        Thread(target=others.send, args=[port, stop], daemon=True),
        Thread(target=others.look, args=[system.connection, partitions, looked], daemon=True),
    ]
    for thread in threads:
        thread.start()
    sleep(CALM_S)
    began = monotonic()
    answers = _flood(port, options)
    let_in_s = monotonic() - began
    system.drain()
    counted_s = monotonic() - began
    sleep(CALM_S)
    stop.set()
    threads[0].join()
    looked.set()
    threads[1].join()
    applied = sum(each.applied for each in system.balanced_audit())
    expected = len(KNOWN) + len(others.delays) + options.keys
    slowest = max(others.delays)
    print(
        f"{options.keys} new keys: let in after {let_in_s:.1f} s, counted after {counted_s:.1f} s; "
        f"answers {answers}\n"
        f"{len(others.delays)} messages of others: counted after {median(others.delays):.3f} s "
        f"(median), {sorted(others.delays)[int(len(others.delays) * 0.99)]:.3f} s (p99), "
        f"{slowest:.3f} s (slowest); {others.refused} refused\n"
        f"{applied} of {expected} counted; {load_average()}"
    )
    return 1 if slowest > SLOWEST_MAX_S or applied != expected else 0


def _flood(port: int, options: argparse.Namespace) -> Mapping[int, int]:
    """Bring the new keys; return how often each status was answered."""
    names = iter([f"new-{os.getpid()}-{i}" for i in range(options.keys)])
    pieces = iter(lambda: list(islice(names, options.at_once)), [])
    answers: dict[int, int] = {}

    def send() -> None:
        for piece in pieces:
            status = 0
            while status != HTTPStatus.ACCEPTED:
                status = _post(port, [[key, 1.0] for key in piece])
                answers[status] = answers.get(status, 0) + 1
                if status != HTTPStatus.ACCEPTED:
                    sleep(1.0)

    threads = [Thread(target=send, daemon=True) for _ in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _post(port: int, messages: Sequence[object]) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/messages", json.dumps(messages), headers)
        return connection.getresponse().status


def _hash_of(key: str, hour: Hour, partitions: int) -> str:
    return PartitionNames(partition_of(key, partitions)).hour(key_hour(key, hour))


def _ticks(per_second: float, stop: Event) -> Iterator[int]:
    began, number = monotonic(), 0
    while not stop.wait(max(0.0, began + number / per_second - monotonic())):
        yield number
        number += 1


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Have so many processes want a core."""
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _system(redis: Redis, folder: Path, options: argparse.Namespace) -> System:
    collector = {"METRICS_KEYS_MAX": str(KEYS_MAX), "WEB_CONCURRENCY": str(options.processes)}
    system = System(redis, folder, workers=options.workers, environ={"collector": collector})
    try:
        system.start([*system.collectors, *system.workers])
    except BaseException:
        system.close()
        raise
    return system


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.bench.new_keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=150_000)
    parser.add_argument("--at-once", type=int, default=10_000, help="new keys in a request")
    parser.add_argument("--connections", type=int, default=1, help="of their sender")
    parser.add_argument("--processes", type=int, default=1, help="of the collector")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--busy", type=int, default=0, help="processes that want a core for nothing"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
