"""The seed's load: ten apps that answer a thousand requests a second each, for a minute."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ops.lab.bench.ingest.backlog_age import oldest_while
from ops.lab.bench.ingest.client_app import Delivered
from ops.lab.bench.ingest.cpu import cpu_seconds
from ops.lab.bench.ingest.messages import keys_of
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.paced import Pace, Paced, post
from ops.lab.bench.ingest.workload import Workload
from ops.lab.latencies import Latencies, shown
from ops.lab.service import ROOT

APPS = 10
MESSAGES_PER_S = 1000
"""Of each app."""

CONNECTIONS = 16
"""Of each app that POSTs each message by itself: one a millisecond, in 16 ms on average."""

_BY_POST = Workload("seed-posts", "single", 1, APPS * CONNECTIONS)
_BY_CLIENT = "seed-client"


@dataclass(frozen=True, slots=True)
class Steady:
    """How the system fared under it.

    Attributes:
        name: How the apps sent.
        seconds: Of load.
        due: Messages that were to be sent.
        sent: Messages that were; fewer, if the collector was too slow for them.
        counted: Messages that a query finds.
        errors: Requests that failed, or messages that were dropped or rejected.
        oldest_s: The age of the oldest entry of the backlog, at each look.
        cpu_s: CPU seconds by process.
        busy_s: How long they had for it.
        latencies: Of the POSTs from when they were due; None where apps do not wait for them.
    """

    name: str
    seconds: float
    due: int
    sent: int
    counted: int
    errors: int
    oldest_s: Sequence[float]
    cpu_s: Mapping[str, float]
    busy_s: float
    latencies: Latencies | None = None

    def complaints(self) -> list[str]:
        """Return what is wrong: errors, and messages lost or too many."""
        found = []
        if self.errors:
            found.append(f"{self.name}: {self.errors} errors")
        if self.sent != self.counted:
            found.append(f"{self.name}: sent {self.sent} messages, counted {self.counted}")
        return found

    def __str__(self) -> str:
        shares = {name: cpu_s / self.busy_s for name, cpu_s in self.cpu_s.items()}
        cpu = " ".join(f"{name} {share:.1%}" for name, share in shares.items())
        took = ""
        if self.latencies:
            p50, p99, most = self.latencies.p50, self.latencies.p99, self.latencies.max
            took = f"\n  POST p50 {shown(p50)}, p99 {shown(p99)}, max {shown(most)}"
        return (
            f"{self.name}: {self.due} messages in {self.seconds:.0f} s, sent {self.sent}, "
            f"counted {self.counted}, {self.errors} errors{took}\n"
            f"  oldest entry of the backlog: {max(self.oldest_s):.2f} s at most\n"
            f"  of one core: {cpu}; all {sum(shares.values()):.1%}"
        )


def by_posts(ours: Ours, seconds: float, folder: Path) -> Steady:
    """Let each app POST each message by itself.

    Args:
        ours: The system, which is up.
        seconds: Of load.
        folder: Where requests are put for a while.
    """
    form = ours.forms["single"][0]
    requests = [post(form.path, form.content_type, body) for body in _BY_POST.bodies(form)]
    pace = Pace(APPS * MESSAGES_PER_S, APPS * CONNECTIONS, seconds)
    cpu_before, begun = cpu_seconds(ours.processes), monotonic()
    paced = Paced(ours.port, requests, pace, folder)
    try:
        with ours.redis.client() as client:
            oldest_s = oldest_while(lambda: paced.is_under_way, client, ours.partitions)
        answered = paced.result()
    finally:
        paced.kill()
    ours.drain()
    return Steady(
        "a POST for each message",
        seconds,
        answered.due,
        answered.sent,
        ours.counted(_BY_POST.keys(form), answered.sent),
        answered.errors,
        oldest_s,
        {**_since(cpu_before, ours), "sender": answered.cpu_s},
        monotonic() - begun,
        answered.latencies,
    )


def by_client(ours: Ours, seconds: float) -> Steady:
    """Let each app record with our client library.

    Args:
        ours: The system, which is up.
        seconds: Of load.
    """
    keys = keys_of(_BY_CLIENT)
    cpu_before = cpu_seconds(ours.processes)
    apps = [_start_app(ours.port, key, seconds) for key in keys]
    try:
        with ours.redis.client() as client:
            oldest_s = oldest_while(
                lambda: any(app.poll() is None for app in apps), client, ours.partitions
            )
        delivered = [Delivered(**json.loads(app.communicate()[0])) for app in apps]
    finally:
        for app in apps:
            app.kill()
            app.wait()
    ours.drain()
    sent = sum(each.recorded for each in delivered)
    return Steady(
        "the client library",
        seconds,
        int(APPS * MESSAGES_PER_S * seconds),
        sent,
        ours.counted(keys, sent),
        sum(each.dropped + each.rejected for each in delivered),
        oldest_s,
        {
            **_since(cpu_before, ours),
            "clients": sum(each.sending_cpu_s for each in delivered),
            "apps": sum(each.recording_cpu_s for each in delivered),
        },
        seconds,
    )


def _start_app(port: int, key: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "ops.lab.bench.ingest.client_app", f"http://127.0.0.1:{port}"),
            *map(str, (key, MESSAGES_PER_S, seconds)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def _since(before: Mapping[str, float], ours: Ours) -> dict[str, float]:
    return {name: cpu_s - before[name] for name, cpu_s in cpu_seconds(ours.processes).items()}
