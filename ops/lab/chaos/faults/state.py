"""What Redis holds is taken away, or it can hold no more."""

import signal
from random import Random
from time import sleep

from metrics.connection import command
from metrics.keyspace import GROUP, PartitionNames
from ops.lab.chaos.system import ChaosSystem
from ops.local.waiting import wait_until

BACKLOG_S = 0.5
"""How long workers stand still, so that a full Redis has something to drain."""

DRAIN_TIMEOUT_S = 30.0
GROUP_TIMEOUT_S = 30.0
GROUPS_MAX = 4


def flush_scripts(system: ChaosSystem, random: Random) -> str:
    """Let Redis forget its scripts a few times, as after a restart or on a new master."""
    times = random.randint(1, 5)
    for _ in range(times):
        system.redis.flush_scripts()
        sleep(random.uniform(0, 0.1))
    return f"scripts flushed {times} times"


def destroy_groups(system: ChaosSystem, random: Random) -> str:
    """Take the consumer groups of some partitions away: what workers hold is pending no more."""
    numbers = random.sample(system.partitions, random.randint(1, GROUPS_MAX))
    streams = [PartitionNames(number).stream for number in numbers]
    for stream in streams:
        system.connection.ask(command("XGROUP", "DESTROY", stream, GROUP, key=stream))
    wait_until(
        lambda: all(
            system.connection.ask(command("XINFO", "GROUPS", stream, key=stream))
            for stream in streams
        ),
        GROUP_TIMEOUT_S,
        "workers create the groups",
    )
    return f"groups of partitions {', '.join(map(str, sorted(numbers)))} destroyed"


def fill_redis(system: ChaosSystem, random: Random) -> str:
    """Let Redis be out of memory: it takes nothing more, and drains even so."""
    del random
    try:
        entries = _fill(system)
        system.drain(DRAIN_TIMEOUT_S)
    finally:
        system.redis.configure("maxmemory", "0")
    return f"Redis was full, and {entries} entries were drained all the same"


def _fill(system: ChaosSystem) -> int:
    """Fill Redis while workers stand still; return how many entries wait for them."""
    try:
        for worker in system.workers:
            worker.send(signal.SIGSTOP)
        sleep(BACKLOG_S)
        system.redis.configure("maxmemory", "1")
        return sum(audit.length for audit in system.audit())
    finally:
        for worker in system.workers:
            worker.send(signal.SIGCONT)
