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

AGREED_S = 10.0
"""How long an agreement holds: somebody may empty Redis, or put another in its place."""


class Layout:
    """What all processes on one Redis must agree on.

    Attributes:
        fields: As in the hash ``metrics:layout``.
    """

    def __init__(self, *, partitions: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.fields = {
            "partitions": str(partitions),
            "histogram_accuracy": str(RELATIVE_ERROR),
            "schema_version": str(SCHEMA_VERSION),
        }
        self._partitions = range(partitions)
        self._monotonic = monotonic
        self._agreed_until = -math.inf

    def agree(self, connection: Connection) -> None:
        """Write the layout down if it is the first, else compare; not again for a while.

        Who has agreed once goes on while Redis cannot be asked: in a cluster it may be only the
        node of the layout that is away, and the others have their work to do.

        Raises:
            LayoutError: If Redis holds numbers of another layout.
            StorageUnsoundError: If it may throw away what it holds, or has lost it.
            StorageUnavailableError: If Redis is away and was never asked; to be called again.
        """
        now = self._monotonic()
        if now < self._agreed_until:
            return
        has_agreed = self._agreed_until > -math.inf
        if has_agreed:
            # One asks again; who comes meanwhile goes on, as the answer may take long.
            self._agreed_until = now + AGREED_S
        try:
            self._compare(connection)
            refuse_eviction(connection, self._partitions)
            refuse_powerless_default_user(connection, self._partitions)
            refuse_lost_data(connection, self._partitions)
        except StorageUnavailableError:
            if not has_agreed:
                raise
        except (LayoutError, StorageUnsoundError):
            self._agreed_until = -math.inf
            raise
        self._agreed_until = self._monotonic() + AGREED_S

    def _compare(self, connection: Connection) -> None:
        try:
            found = connection.ask(command("HMGET", LAYOUT, *self.fields))
        except StorageUnsoundError as error:
            raise LayoutError(f"{LAYOUT} is not a hash of ours: {error}") from error
        if None in found:
            # Only then, since a Redis that is out of memory allows no such write, and must drain.
            for name, value in self.fields.items():
                connection.ask(command("HSETNX", LAYOUT, name, value))
            found = connection.ask(command("HMGET", LAYOUT, *self.fields))
        if None in found:
            raise StorageUnavailableError(f"Redis lost {LAYOUT} as soon as it was written")
        differences = [
            f"{name} is {value} here and {kept.decode(errors='replace')} in Redis"
            for (name, value), kept in zip(self.fields.items(), found, strict=True)
            if kept != value.encode()
        ]
        if differences:
            raise LayoutError(
                f"{LAYOUT} differs: {'; '.join(differences)}. Set what Redis has "
                "(METRICS_PARTITIONS for partitions), or use another Redis."
            )
