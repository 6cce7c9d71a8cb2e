"""The agent's loop: it reads its sockets, and once a second reports what was lost."""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Sequence

from metrics.client.client import Client
from metrics.statsd.datagrams import DatagramSocket
from metrics.statsd.intake import Intake
from metrics.statsd.streams import Listener

REPORT_S = 1.0
"""How often losses are reported."""


class Agent:
    """Takes lines from sockets until it is stopped, and then all that has come so far.

    Args:
        client: Delivers what was taken.
        intake: Takes lines.
        monotonic: The clock.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        client: Client,
        intake: Intake,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._intake = intake
        self._monotonic = monotonic
        self._sleep = sleep
        self._selector = selectors.DefaultSelector()
        self._datagrams: list[DatagramSocket] = []
        self._listeners: list[Listener] = []
        self._is_stopping = False
        self._wakes, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, lambda: 0.0)

    def listen_udp(self, host: str, port: int) -> None:
        """Take datagrams of UDP.

        Raises:
            OSError: If it cannot listen there.
        """
        self._add(DatagramSocket.udp(host, port, self._intake.take))

    def listen_unix(self, path: str) -> None:
        """Take datagrams at a path.

        Raises:
            OSError: If it cannot listen there.
        """
        self._add(DatagramSocket.unix(path, self._intake.take))

    def listen_tcp(self, host: str, port: int) -> None:
        """Take lines over TCP.

        Raises:
            OSError: If it cannot listen there.
        """
        listener = Listener(
            host,
            port,
            take=self._intake.take,
            lose=self._intake.lose_line,
            selector=self._selector,
        )
        self._selector.register(listener, selectors.EVENT_READ, listener.read)
        self._listeners.append(listener)

    @property
    def _all(self) -> list[DatagramSocket | Listener]:
        return [*self._datagrams, *self._listeners]

    @property
    def places(self) -> Sequence[str]:
        """Where it listens, for people."""
        return [each.name for each in self._all]

    def run(self) -> None:
        """Take what comes until ``stop``, then what has come by then; leave the rest to ``close``.

        Whoever sends later gets an error: the sockets refuse it before they are emptied.
        """
        report_at = self._monotonic() + REPORT_S
        while not self._is_stopping:
            now = self._monotonic()
            if now >= report_at:
                self._report()
                report_at = now + REPORT_S
            ready = self._selector.select(report_at - now)
            # To wake up for each datagram costs more than to read it.
            gather_s = min((key.data() for key, _ in ready), default=0.0)
            if gather_s > 0:
                self._sleep(gather_s)
        for each in self._all:
            each.hang_up()
        for each in self._datagrams:
            each.read_all()
        self._report()

    def stop(self) -> None:
        """Have it end. Safe in a signal handler, and from any thread."""
        self._is_stopping = True
        # A second signal may come while it delivers: then there is nobody to wake.
        with contextlib.suppress(OSError):
            self._wakes.send(b".")

    def close(self, timeout: float) -> bool:
        """Close the sockets and deliver; return whether all was delivered in time (seconds)."""
        for each in self._all:
            each.close()
        self._selector.close()
        self._wakes.close()
        self._woken.close()
        return self._client.close(timeout)

    def _add(self, added: DatagramSocket) -> None:
        self._selector.register(added, selectors.EVENT_READ, added.read)
        self._datagrams.append(added)

    def _report(self) -> None:
        for each in self._datagrams:
            dropped = each.newly_dropped()
            if dropped:
                self._intake.lose_datagrams(dropped, each.name)
        self._intake.report()
