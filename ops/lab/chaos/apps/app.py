"""One app: it records at a steady rate until it is told to end, and then prints its report.

``python -m ops.lab.chaos.apps.app KEY RATE MAX_BUFFERED`` with METRICS_COLLECTORS; each line of its
input is the name of the phase that begins, ``close`` the last.
"""

import io
import select
import sys
from collections.abc import Sequence
from dataclasses import asdict
from time import monotonic, perf_counter_ns, sleep, time

import msgspec

from metrics import Client
from metrics.hours import SECONDS_PER_HOUR, Hour
from ops.lab.chaos.apps.report import KeyHour, Report

FIRST_CALL = "first call"
"""A phase of its own: it starts the client's thread."""

CALM = "calm"
LAST_PHASE = "close"
BEGUN = "begun"
"""What it prints when its first value is recorded."""

FLUSH_S = 0.05
"""Short, so that a collector that is killed has a request, and may have stored what is in it."""

CLOSE_TIMEOUT_S = 30.0
EDGE_S = 0.1
"""How long before the end of an hour nothing is recorded: it might be in the next one already."""


class App:
    """Records the squares of 1, 2, 3 …, each once: their sum is exact, and tells what is missing.

    So no loss makes up for a duplicate.

    Args:
        client: What records.
        key: Its key.
        rate: Values a second.
    """

    def __init__(self, client: Client, key: str, rate: float) -> None:
        self._client = client
        self._key = key
        self._pause_s = 1 / rate
        self._report = Report(key)

    def run(self, phases: io.RawIOBase) -> Report:
        """Record until the last phase, or until nobody tells phases any more."""
        self._enter(FIRST_CALL)
        self._record(1.0)
        print(BEGUN, flush=True)
        self._enter(CALM)
        due = monotonic()
        number = 1
        while True:
            due += self._pause_s
            # Waits for two things at once: the next call, and the next phase.
            if select.select([phases], [], [], max(0.0, due - monotonic()))[0]:
                phase = phases.readline().decode().strip()
                if phase in {"", LAST_PHASE}:
                    return self._close()
                self._enter(phase)
            number += 1
            self._record(float(number**2))

    def _enter(self, phase: str) -> None:
        self._took_ns = self._report.record_ns.setdefault(phase, [])

    def _record(self, value: float) -> None:
        while time() % SECONDS_PER_HOUR > SECONDS_PER_HOUR - EDGE_S:
            sleep(EDGE_S)
        hour = self._report.hours.setdefault(str(Hour.of(time())), KeyHour())
        dropped = self._client.stats.dropped
        begun_ns = perf_counter_ns()
        self._client.record(self._key, value)
        self._took_ns.append(perf_counter_ns() - begun_ns)
        if self._client.stats.dropped > dropped:
            hour.dropped += 1
        else:
            hour.count += 1
            hour.sum += value

    def _close(self) -> Report:
        self._report.is_delivered = self._client.close(CLOSE_TIMEOUT_S)
        self._report.stats = asdict(self._client.stats)
        return self._report


def main(arguments: Sequence[str]) -> int:
    """Be the app."""
    key, rate, *bounds = arguments
    max_buffered, max_folded = map(int, bounds)
    client = Client(max_buffered=max_buffered, max_folded=max_folded, flush_seconds=FLUSH_S)
    with io.FileIO(sys.stdin.fileno(), closefd=False) as phases:
        report = App(client, key, float(rate)).run(phases)
    print(msgspec.json.encode(report).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
