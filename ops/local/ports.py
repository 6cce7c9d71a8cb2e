"""Ports of this machine that nobody listens at."""

import itertools
import os
import secrets
import socket
from collections import deque
from collections.abc import Iterator
from functools import cache

PORTS_SHARE = "METRICS_PORTS_SHARE"
"""Variable: ``0/2`` for the first of two who look for free ports at the same time. Else both may
find the same one before either listens at it."""

GIVEN_MAX = 400
"""How many ports a process remembers to have been given."""

_PORTS = range(10_000, 32_768)
"""Below those that a system gives to clients: else one of these may sit on the port of a process
just when that is started again."""


def free_port(*offsets: int) -> int:
    """Return a port of 127.0.0.1 at which nobody listens, nor at those so far from it.

    A process is given none twice before it has been given all, as it may listen there only later.
    Those beside it are below the ports of clients, too.

    Args:
        offsets: Distances to other ports that must be free as well.
    """

    def is_usable(port: int) -> bool:
        wanted = [port, *(port + offset for offset in offsets)]
        return all(each in _PORTS and each not in _given() and is_free(each) for each in wanted)

    port = next(filter(is_usable, _ports()))
    _given().extend([port, *(port + offset for offset in offsets)])
    return port


@cache
def _ports() -> Iterator[int]:
    ports = share_of(_PORTS)
    secrets.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


@cache
def _given() -> deque[int]:
    """Return the ports that were given lately, with those beside them: somebody may listen soon."""
    return deque(maxlen=GIVEN_MAX)


def share_of(ports: range) -> list[int]:
    """Return those of some ports among which this process may choose, as PORTS_SHARE says.

    Ports that differ by hundreds are in one share, whatever the number of shares: ``ops/run`` and a
    node's bus stand so far from the port that was chosen.
    """
    number, shares = map(int, os.environ.get(PORTS_SHARE, "0/1").split("/"))
    return [port for port in ports if port % 100 * shares // 100 == number]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen at a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
