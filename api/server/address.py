"""Who is at the other side of a connection, as limits count it."""

from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

_HOST_BITS = 64
"""In IPv6 whoever has one address has all of so many bits: RFC 6177."""


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what stands for a client's address: itself, in IPv6 its network of 64 bits.

    Args:
        address: As a socket has it; empty for one of this machine.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> _HOST_BITS << _HOST_BITS))


def forwarded_for(header: str, proxies: int) -> str:
    """Return for which address some proxies have forwarded a request; empty if they do not say.

    Each proxy appends the address that it was asked from, so what stands further to the left may be
    anything that a client made up.

    Args:
        header: ``X-Forwarded-For``.
        proxies: How many of them there are that can be trusted.
    """
    hops = header.split(",")
    hop = hops[-proxies].strip() if proxies <= len(hops) else ""
    try:
        ip_address(hop)
    except ValueError:
        return ""
    return hop


class Addresses:
    """How many connections each address has.

    Args:
        each_max: How many each may have; None for any number.
    """

    def __init__(self, each_max: int | None = None) -> None:
        self._each_max = each_max
        self._counts: Counter[str] = Counter()

    def has_room(self, address: str) -> bool:
        """Return whether an address may have one more; those of this machine have no address."""
        return not self._each_max or not address or self._counts[address] < self._each_max

    def enter(self, address: str) -> None:
        """Count a connection."""
        self._counts[address] += 1

    def leave(self, address: str) -> None:
        """Count a connection that is gone."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
