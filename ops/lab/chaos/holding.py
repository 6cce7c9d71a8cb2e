"""Which entries a worker holds: read, and neither committed nor taken over by another."""

import signal
from collections.abc import Sequence
from random import Random
from time import sleep

from metrics.connection import Connection, command
from metrics.errors import MetricsError
from metrics.keyspace import GROUP, PartitionNames
from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.waiting import wait_until
from workers.__main__ import consumer_name

CATCH_TIMEOUT_S = 15.0
"""A worker holds entries for a few milliseconds of each tenth of a second."""

STEP_S = 0.03
SETTLE_S = 0.03
"""What a stopped worker had sent to Redis is done after this long."""


class Holdings:
    """The pending entries of each worker."""

    def __init__(self, connection: Connection, partitions: Sequence[int]) -> None:
        self._connection = connection
        self._streams = [PartitionNames(number).stream for number in partitions]

    def of(self, worker: Service) -> int:
        """Return how many entries a worker holds, as far as Redis tells."""
        consumer = consumer_name({}, worker.port).encode()
        replies = self._connection.execute(
            [command("XPENDING", stream, GROUP) for stream in self._streams]
        )
        return sum(
            int(entries)
            for reply in replies
            if not isinstance(reply, MetricsError)
            for name, entries in reply[3] or ()
            if name == consumer
        )

    def stop_holder(self, worker: Service, random: Random) -> int:
        """SIGSTOP a worker at a moment at which it holds entries; return how many these are.

        Raises:
            TimeoutError: If it never holds any.
        """
        wait_until(worker.is_alive, START_TIMEOUT_S, f"{worker.label} answers")
        return wait_until(
            lambda: self._stopped_with(worker, random),
            CATCH_TIMEOUT_S,
            f"{worker.label} holds entries at some moment",
        )

    def _stopped_with(self, worker: Service, random: Random) -> int:
        worker.send(signal.SIGSTOP)
        if self.of(worker):
            sleep(SETTLE_S)
        entries = self.of(worker)
        if not entries:
            worker.send(signal.SIGCONT)
            sleep(random.uniform(0, STEP_S))
        return entries
