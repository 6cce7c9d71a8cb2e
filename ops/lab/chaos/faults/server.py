"""A single redis-server that is restarted, killed or stopped for a while."""

import signal
from random import Random
from time import sleep

from ops.lab.chaos.one_redis import OneRedis

AWAY_S = 1.0
"""How long it is away between its end and its start, at most."""


def restart_redis(redis: OneRedis, how: signal.Signals, random: Random) -> str:
    """End Redis by a signal, and start it again from its append-only file."""
    redis.server.stop(how)
    sleep(random.uniform(0, AWAY_S))
    redis.server.start()
    return f"Redis ended by {how.name} and started again"


def pause_redis(redis: OneRedis, seconds: float, random: Random) -> str:
    """Let Redis answer nothing and refuse nothing, as on a host that swaps."""
    del random
    redis.signal(signal.SIGSTOP)
    try:
        sleep(seconds)
    finally:
        redis.signal(signal.SIGCONT)
    return f"Redis stopped for {seconds:g} s"
