"""An app of the seed's load, with our client library."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from metrics import Client
from ops.lab.bench.ingest.messages import response_times

TICK_S = 0.01
"""Requests of an app are not evenly spread: here they come a few at once."""

FLUSH_TIMEOUT_S = 10.0
VALUES = 1000


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of an app's messages.

    Attributes:
        recorded: How many it recorded.
        sent: How many were delivered.
        dropped: How many could not be.
        rejected: How many were refused.
        recording_cpu_s: CPU seconds of the thread that is the app, recording and pacing.
        sending_cpu_s: And of all others, which is the client's own.
    """

    recorded: int
    sent: int
    dropped: int
    rejected: int
    recording_cpu_s: float
    sending_cpu_s: float


def record(url: str, key: str, per_s: float, seconds: float) -> Delivered:
    """Record at a rate for a while, and deliver all of it.

    Args:
        url: Of the collector.
        key: Of the app.
        per_s: How many messages a second.
        seconds: For how long.
    """
    values = response_times(VALUES, seed=len(key))
    thread_begun, process_begun = time.thread_time(), time.process_time()
    with Client(url) as client:
        begun, recorded = time.monotonic(), 0
        while recorded < per_s * seconds:
            time.sleep(TICK_S)
            due = min((time.monotonic() - begun) * per_s, per_s * seconds)
            while recorded < due:
                client.record(key, values[recorded % VALUES])
                recorded += 1
        client.flush(FLUSH_TIMEOUT_S)
        own_s = time.thread_time() - thread_begun
        stats = client.stats
        return Delivered(
            recorded=stats.recorded,
            sent=stats.sent,
            dropped=stats.dropped,
            rejected=stats.rejected,
            recording_cpu_s=own_s,
            sending_cpu_s=time.process_time() - process_begun - own_s,
        )


def main(arguments: Sequence[str]) -> int:
    """Be the app, and print what came of it."""
    url, key, per_s, seconds = arguments
    print(json.dumps(asdict(record(url, key, float(per_s), float(seconds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
