"""Connections to Redis that are cut, held up or refused, by a proxy."""

from collections.abc import Sequence
from random import Random
from time import sleep

from ops.lab.chaos.proxy import Mode, Proxy

BROKEN_S = (0.2, 1.0)
"""How long connections are broken: least and most."""

DELAYS_S = (0.1, 1.0, 2.0)
"""The collector waits 1.5 s for a reply: the last is too late."""


def break_connections(proxy: Proxy, modes: Sequence[Mode], random: Random) -> str:
    """Let every connection to Redis fail in one way for a while."""
    mode, seconds = random.choice(modes), random.uniform(*BROKEN_S)
    _misbehave(proxy, mode, seconds)
    return f'connections to Redis: "{mode}" for {seconds:.1f} s'


def delay_replies(proxy: Proxy, random: Random) -> str:
    """Let replies come late: some when nobody waits for them any more."""
    delay_s = proxy.delay_s = random.choice(DELAYS_S)
    seconds = delay_s + random.uniform(*BROKEN_S)
    _misbehave(proxy, "delay", seconds)
    return f"replies of Redis held for {delay_s:g} s during {seconds:.1f} s"


def _misbehave(proxy: Proxy, mode: Mode, seconds: float) -> None:
    proxy.set_mode(mode)
    try:
        sleep(seconds)
    finally:
        proxy.set_mode("pass")
