"""The collectors that a client may use, and which of them it uses next. No I/O."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Self
from urllib.parse import urlsplit

BACK_OFF_S_MIN = 0.25
"""How long a collector is left alone after its first failure, at most."""

BACK_OFF_S_MAX = 5.0
"""And after many: so long may values wait once it is back."""

RETRY_AFTER_S_MAX = 60.0
"""A collector that asks for more is not believed."""

STAY_S = 300.0
"""How long to stay with a collector: so the load spreads again after one was away."""


_UNSAFE = re.compile(r"[^!-~]")
"""What no line of a request may have in a path."""

_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
"""What no URL has at all: ``urlsplit`` leaves some of it out without a word."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a collector listens.

    Attributes:
        url: As it was given, for people.
        is_tls: Whether it speaks HTTPS.
        host: Its name or address.
        port: None for that of its scheme.
        path: Where it takes messages.
    """

    url: str
    is_tls: bool
    host: str
    port: int | None
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address that a URL names, ``http://collector-1:8000``; a path is a prefix.

        Raises:
            ValueError: If it names none.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")
        except (ValueError, AttributeError) as error:
            raise ValueError(f"a collector is written http://host:port, got {url!r}") from error
        if parts.username is not None or parts.password is not None:
            raise ValueError("the URL of a collector holds no password; pass token=... instead")
        is_plain = not (parts.query or parts.fragment)
        if _BLANK_OR_CONTROL.search(url) or _UNSAFE.search(parts.path):
            is_plain = False
        if parts.scheme not in {"http", "https"} or not host or not is_plain:
            raise ValueError(f"a collector is written http://host:port, got {url!r}")
        # The whole URL of messages is taken as well, as curl is given it.
        prefix = parts.path.rstrip("/").removesuffix("/messages")
        return cls(url, parts.scheme == "https", host, port, f"{prefix}/messages")


@dataclass(slots=True)
class Collector:
    """One of them.

    Attributes:
        address: Where it listens.
        failures: How often in a row it gave no good answer.
        rests_until: When it may be used again, on the monotonic clock.
    """

    address: Address
    failures: int = 0
    retry_at: float = 0.0


class Collectors:
    """Chooses: stays with one as long as it answers, and then goes on to the next.

    One that failed is left alone for a while, longer each time, with jitter so that many clients
    do not come back at once.

    The first is chosen at random.

    Source:
        Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (equal jitter).
    """

    def __init__(
        self, addresses: Sequence[Address], *, random: Random, monotonic: Callable[[], float]
    ) -> None:
        self._all = [Collector(address) for address in addresses]
        self._random = random
        self._monotonic = monotonic
        self._stays_until = 0.0
        self._current = 0

    def choose(self) -> Collector | None:
        """Return the one to use now; None if all of them are to be left alone."""
        now = self._monotonic()
        if now >= self._stays_until:
            self._current = self._random.randrange(len(self._all))
            self._stays_until = now + self._random.uniform(STAY_S / 2, STAY_S)
        for step in range(len(self._all)):
            number = (self._current + step) % len(self._all)
            if self._all[number].retry_at <= now:
                self._current = number
                return self._all[number]
        return None

    @property
    def pause_s(self) -> float:
        """How long until one of them may be used."""
        earliest = min(collector.retry_at for collector in self._all)
        return max(earliest - self._monotonic(), 0.0)

    def failed(self, collector: Collector, retry_after_s: float | None = None) -> None:
        """Leave one alone for a while, or as long as it asked for."""
        longest = min(BACK_OFF_S_MIN * 2.0**collector.failures, BACK_OFF_S_MAX)
        pause_s = self._random.uniform(longest / 2, longest)
        if retry_after_s is not None:
            pause_s = max(pause_s, min(retry_after_s, RETRY_AFTER_S_MAX))
        collector.failures = min(collector.failures + 1, 16)
        collector.retry_at = self._monotonic() + pause_s

    def answered(self, collector: Collector) -> None:
        """Forget the failures of one that works."""
        collector.failures = 0

    def wake(self) -> None:
        """Let all of them be used at once: there is no later."""
        for collector in self._all:
            collector.retry_at = 0.0
