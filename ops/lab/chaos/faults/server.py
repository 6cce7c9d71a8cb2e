"""A single redis-server that is restarted, killed or stopped for a while."""

import signal
from dataclasses import dataclass
from random import Random
from time import sleep

from ops.lab.chaos.one_redis import OneRedis

AWAY_S = 1.0
"""How long it is away between its end and its start, at most."""


@dataclass(frozen=True, slots=True)
class RestartRedis:
    """A restart from the append-only file."""

    redis: OneRedis
    how: signal.Signals

    def inject(self, random: Random) -> str:
        """End it by a signal, and start it again."""
        self.redis.server.stop(self.how)
        sleep(random.uniform(0, AWAY_S))
        self.redis.server.start()
        return f"Redis ended by {self.how.name} and started again"


@dataclass(frozen=True, slots=True)
class PauseRedis:
    """A Redis that answers nothing and refuses nothing, as on a host that swaps."""

    redis: OneRedis
    seconds: float

    def inject(self, random: Random) -> str:
        """Stop it for a while."""
        self.redis.pause()
        try:
            sleep(self.seconds)
        finally:
            self.redis.resume()
        return f"Redis stopped for {self.seconds:g} s"
