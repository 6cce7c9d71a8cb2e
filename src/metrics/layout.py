"""``metrics:layout``: what the numbers in Redis were made with, written once, checked by all."""

import math
import time
from collections.abc import Callable

from metrics.accuracy import RELATIVE_ERROR
from metrics.connection import Connection, command
from metrics.errors import LayoutError, StorageUnavailableError, StorageUnsoundError
from metrics.eviction import refuse_eviction
from metrics.keyspace import LAYOUT
from metrics.lost_data import refuse_lost_data, refuse_powerless_default_user

SCHEMA_VERSION = 1

ENSURED_S = 10.0
"""How long an agreement holds: somebody may empty Redis, or put another in its place."""


def fields_of(partitions: int) -> dict[str, str]:
    """Return the fields of the hash ``metrics:layout``."""
    return {
        "partitions": str(partitions),
        "histogram_accuracy": str(RELATIVE_ERROR),
        "schema_version": str(SCHEMA_VERSION),
    }


class Layout:
    """What all processes on one Redis must have alike. One for each process.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
        monotonic: Clock, in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._fields = fields_of(partitions)
        self._partitions = range(partitions)
        self._monotonic = monotonic
        self._ensured_until = -math.inf

    def ensure(self) -> None:
        """Create ``metrics:layout``, or check that it matches; the result holds for 10 s.

        After one success an unreachable Redis is no error: in a cluster only the layout's node may
        be down, and the others have their work to do.

        Raises:
            LayoutError: If Redis holds numbers of another layout.
            StorageUnsoundError: If it may throw away what it holds, or has lost it; or if there is
                something else in the layout's place.
            StorageUnavailableError: If Redis is away and was never asked; to be called again.
        """
        now = self._monotonic()
        if now < self._ensured_until:
            return
        was_ensured = self._ensured_until > -math.inf
        if was_ensured:
            # One asks again; who comes meanwhile goes on, as the answer may take long.
            self._ensured_until = now + ENSURED_S
        try:
            self._compare()
            refuse_eviction(self._connection, self._partitions)
            refuse_powerless_default_user(self._connection, self._partitions)
            refuse_lost_data(self._connection, self._partitions)
        except StorageUnavailableError:
            if not was_ensured:
                raise
        except (LayoutError, StorageUnsoundError):
            self._ensured_until = -math.inf
            raise
        self._ensured_until = self._monotonic() + ENSURED_S

    def _compare(self) -> None:
        ask = self._connection.ask
        try:
            found = ask(command("HMGET", LAYOUT, *self._fields))
        except StorageUnsoundError as error:
            # Somebody's mistake, and no other layout: nothing is written until it is put right.
            raise StorageUnsoundError(
                f"{LAYOUT} is not a hash of ours: {error}; DEL it, and it is written again"
            ) from error
        if None in found:
            # Only then, since a Redis that is out of memory allows no such write, and must drain.
            for name, value in self._fields.items():
                ask(command("HSETNX", LAYOUT, name, value))
            found = ask(command("HMGET", LAYOUT, *self._fields))
        if None in found:
            raise StorageUnavailableError(f"Redis lost {LAYOUT} as soon as it was written")
        differences = [
            f"{name} is {value} here and {kept.decode(errors='replace')} in Redis"
            for (name, value), kept in zip(self._fields.items(), found, strict=True)
            if kept != value.encode()
        ]
        if differences:
            raise LayoutError(
                f"{LAYOUT} differs: {'; '.join(differences)}. Set what Redis has "
                "(METRICS_PARTITIONS for partitions), or use another Redis."
            )
