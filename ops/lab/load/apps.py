"""Apps that record with the client library: ``python -m ops.lab.load.apps <plan>``.

``Load`` starts it. Each key of the plan is one app, and all have the same rate. The CPU of the
sender is that of the clients' own threads, without what the apps do.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context

from metrics import Client
from ops.lab.load.messages import response_times
from ops.lab.load.plan import Plan, Tick

MODULE = "ops.lab.load.apps"
TICK_S = 0.01
"""Requests of an app are not evenly spread: here they come a few at once."""

FLUSH_TIMEOUT_S = 30.0
VALUES = 1000


def record(plan: Plan, key: str) -> tuple[int, int, int, float]:
    """Be an app: record at its rate for a while, and deliver all of it.

    Returns:
        Messages recorded, delivered, and dropped or rejected; CPU seconds of the client's thread.
    """
    messages_per_s = plan.messages_per_s / plan.keys
    values = response_times(VALUES, seed=len(key))
    thread_begun, process_begun = time.thread_time(), time.process_time()
    with Client(f"http://127.0.0.1:{plan.port}") as client:
        begun, recorded = time.monotonic(), 0
        while recorded < int(messages_per_s * plan.seconds):
            time.sleep(TICK_S)
            passed_s = min(time.monotonic() - begun, plan.seconds)
            while recorded < int(passed_s * messages_per_s):
                client.record(key, values[recorded % VALUES])
                recorded += 1
        client.flush(FLUSH_TIMEOUT_S)
        own_s = time.thread_time() - thread_begun
        sending_s = time.process_time() - process_begun - own_s
        stats = client.stats
        return stats.recorded, stats.sent, stats.dropped + stats.rejected, sending_s


def main(arguments: Sequence[str]) -> int:
    """Be all apps of a plan; print a tick at the beginning, and one when all is delivered."""
    plan = Plan(**json.loads(arguments[0]))
    with get_context("spawn").Pool(plan.keys) as pool:
        pool.map(time.sleep, [0.0] * plan.keys)  # all of them are there
        print(json.dumps(asdict(Tick(due=0, sent=0, accepted=0, statuses={}))), flush=True)
        found = pool.map(partial(record, plan), plan.key_names, chunksize=1)
    recorded, sent, lost, sending_s = map(sum, zip(*found, strict=True))
    last = Tick(
        due=int(plan.messages_per_s * plan.seconds),
        sent=int(recorded),
        accepted=int(sent),
        statuses={},
        broken=int(lost),
        cpu_s=sending_s,
        is_last=True,
    )
    print(json.dumps(asdict(last)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
