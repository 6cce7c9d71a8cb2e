"""Connections to Redis that are cut, held up or refused, by a proxy."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import sleep

from ops.lab.chaos.proxy import Mode, Proxy

BROKEN_S = (0.2, 1.0)
"""How long connections are broken: least and most."""


@dataclass(frozen=True, slots=True)
class BreakConnections:
    """Every connection to Redis fails in one way for a while."""

    proxy: Proxy
    modes: Sequence[Mode]

    def inject(self, random: Random) -> str:
        """Let the proxy misbehave."""
        mode, seconds = random.choice(self.modes), random.uniform(*BROKEN_S)
        self.proxy.set_mode(mode)
        try:
            sleep(seconds)
        finally:
            self.proxy.set_mode("pass")
        return f'connections to Redis: "{mode}" for {seconds:.1f} s'


@dataclass(frozen=True, slots=True)
class DelayReplies:
    """Replies come late: some when nobody waits for them any more."""

    proxy: Proxy
    delays_s: Sequence[float]

    def inject(self, random: Random) -> str:
        """Let the proxy hold every reply for a while."""
        delay_s = self.proxy.delay_s = random.choice(self.delays_s)
        seconds = delay_s + random.uniform(*BROKEN_S)
        self.proxy.set_mode("delay")
        try:
            sleep(seconds)
        finally:
            self.proxy.set_mode("pass")
        return f"replies of Redis held for {delay_s:g} s during {seconds:.1f} s"
