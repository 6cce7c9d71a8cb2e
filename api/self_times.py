"""How long a service takes to answer, recorded as a key of itself (``METRICS_SELF_KEY``).

They go straight to Redis once a second, as one column, past HTTP: recording them is no request, so
nothing is recorded of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

from metrics.connection import Connection
from metrics.entry import Column, write_values
from metrics.errors import MetricsError
from metrics.hours import Hour
from metrics.keyspace import key_hour, partition_of
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.stream import Appender, Batch, failure_of
from metrics.throttled_log import ThrottledLog

PAUSE_S = 1.0
"""How often they are appended."""

VALUES_MAX = 100_000
"""How many are kept until then; more are counted as dropped."""

_MS_PER_S = 1000

_log = logging.getLogger(__name__)


class SelfTimes:
    """The response times of one process, until they are appended.

    Args:
        key: The key to record them under.
        appender: Appends them.
        partitions: How many there are.
        now: The clock that gives them their hour, in Unix seconds.
    """

    def __init__(
        self,
        key: str,
        appender: Appender,
        *,
        partitions: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._appender = appender
        self._partition = partition_of(key, partitions)
        self._now = now
        self._seconds: list[float] = []
        self._dropped = 0
        self._log = ThrottledLog(_log)

    @classmethod
    def of(
        cls, service: str, settings: Settings, connection: Connection, layout: Layout
    ) -> Self | None:
        """Return those of a service; None if they are not to be recorded."""
        key = settings.self_key_of(service)
        if not key:
            return None
        appender = Appender.of(connection, settings, layout)
        return cls(key, appender, partitions=settings.partitions)

    def start(self) -> None:
        """Append them once a second from now on, in a greenlet or a thread."""
        threading.Thread(target=self._run, name="self-times", daemon=True).start()

    def record(self, seconds: Sequence[float]) -> None:
        """Take how long some requests took, in seconds."""
        room = VALUES_MAX - len(self._seconds)
        self._seconds += seconds[:room]
        self._dropped += max(0, len(seconds) - room)

    def append(self) -> None:
        """Append what was recorded; if that fails, it counts as dropped and is reported so."""
        seconds, self._seconds = self._seconds, []
        dropped, self._dropped = self._dropped, 0
        if not seconds and not dropped:
            return
        name = key_hour(self._key, Hour.of(self._now()))
        columns = []
        if seconds:
            values = [round(each * _MS_PER_S, 3) for each in seconds]
            columns.append(Column(name, write_values(values), len(values)))
        if dropped:
            columns.append(Column.of_dropped(name, dropped))
        batch = Batch({self._partition: columns})
        error = self._failure(batch)
        if error is not None:
            self._dropped += dropped + len(seconds)
            self._log.log("append", "response times of this service are lost: %s", error)

    def _failure(self, batch: Batch) -> MetricsError | None:
        try:
            (failures,) = self._appender.send([batch])
        except MetricsError as error:
            return error
        return failure_of(batch, failures) if isinstance(failures, dict) else None

    def _run(self) -> None:
        while True:
            time.sleep(PAUSE_S)
            self.append()
