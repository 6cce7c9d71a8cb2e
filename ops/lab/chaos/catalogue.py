"""The catalogue: all faults by their names, those of every Redis and those of one kind."""

import signal
from collections.abc import Callable
from functools import partial
from random import Random

from ops.lab.chaos.clients import Clients
from ops.lab.chaos.faults.clock import put_clock_off, turn_hour
from ops.lab.chaos.faults.network import break_connections, delay_replies
from ops.lab.chaos.faults.nodes import (
    Shards,
    add_node,
    fail_over,
    kill_master,
    move_slot,
    pause_master,
)
from ops.lab.chaos.faults.processes import (
    kill,
    kill_all,
    kill_and_wait,
    kill_holding,
    stall,
    terminate,
)
from ops.lab.chaos.faults.repeats import behave
from ops.lab.chaos.faults.server import pause_redis, restart_redis
from ops.lab.chaos.faults.state import destroy_groups, fill_redis, flush_scripts
from ops.lab.chaos.holding import Holdings
from ops.lab.chaos.one_redis import OneRedis
from ops.lab.chaos.system import ChaosSystem

Fault = Callable[[Random], str]
"""Breaks something, mends it again, and returns what was done.

What is left open (which process, how long) is drawn. Raises TimeoutError or RuntimeError if what
must go on, become well again or end well does not.
"""


def faults_of(system: ChaosSystem, clients: Clients, pause_s: float) -> dict[str, Fault]:
    """Return all faults that a system with clients can have.

    Args:
        system: What is broken.
        clients: Who sends.
        pause_s: How long a Redis is stopped.
    """
    holdings = Holdings(system.connection, system.partitions)
    return {
        "kill-collector": partial(kill, system.collectors),
        "kill-worker": partial(kill, system.workers),
        "kill-query": partial(kill, [system.query]),
        "kill-worker-holding": partial(kill_holding, system.workers, holdings),
        "stall-worker": partial(stall, system.workers, holdings),
        "stop-collector": partial(terminate, system.collectors),
        "stop-worker": partial(terminate, system.workers),
        "flush-scripts": partial(flush_scripts, system),
        "destroy-groups": partial(destroy_groups, system),
        "fill-redis": partial(fill_redis, system),
        "lose-answers": partial(behave, clients, "losing every first answer"),
        "repeat-at-once": partial(behave, clients, "to all collectors at once"),
        "clock-off": partial(put_clock_off, system.clock),
        "turn-hour": partial(turn_hour, system.clock),
        **_faults_of_redis(system, pause_s),
    }


def faults_around_apps(system: ChaosSystem, away_s: float | None) -> dict[str, Fault]:
    """Return the faults around apps: one collector at a time, or all for so many seconds."""
    if away_s is None:
        return {"kill-collector": partial(kill_and_wait, system.collectors)}
    return {"kill-all-collectors": partial(kill_all, system.collectors, away_s)}


def _faults_of_redis(system: ChaosSystem, pause_s: float) -> dict[str, Fault]:
    redis = system.redis
    if isinstance(redis, OneRedis):
        broken = partial(break_connections, redis.proxy)
        return {
            "restart-redis": partial(restart_redis, redis, signal.SIGTERM),
            "kill-redis": partial(restart_redis, redis, signal.SIGKILL),
            "pause-redis": partial(pause_redis, redis, pause_s),
            "cut-replies": partial(broken, ("cut in reply", "cut before reply")),
            "refuse-connections": partial(broken, ("refuse", "cut before request")),
            "delay-replies": partial(delay_replies, redis.proxy),
        }
    shards = Shards(redis.cluster, system.partitions)
    return {
        "kill-master": partial(kill_master, shards),
        "pause-master": partial(pause_master, shards),
        "failover": partial(fail_over, shards),
        "move-slot": partial(move_slot, shards),
        "add-node": partial(add_node, shards),
    }
