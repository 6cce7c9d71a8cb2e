"""Brings one batch after the other to a collector: which one, how often, and until when."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from metrics.client.batch import Batch
from metrics.client.collectors import Address, Collector, Collectors
from metrics.client.connection import CollectorConnection
from metrics.client.outcome import Outcome, Result, classify
from metrics.client.throttled_log import ThrottledLog
from metrics.errors import CollectorAwayError

_FINAL = {Outcome.ACCEPTED, Outcome.REFUSED, Outcome.TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client waits for what, in seconds.

    Attributes:
        connect: For a connection.
        answer: For an answer, from the first byte sent to the last one read.
        repeat: For the outcome of a batch that may be stored: collectors must remember it so long.
    """

    connect: float
    answer: float
    repeat: float


class Delivery:
    """The way to the collectors. For one thread; its counts may be read in any.

    Args:
        addresses: Of the collectors.
        headers: Sent with each batch.
        timeouts: How long to wait for what.

    Attributes:
        retries: How often a batch was sent again.
        last_error: What went wrong last; None if nothing did.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        headers: dict[str, str],
        timeouts: Timeouts,
    ) -> None:
        self._headers = headers
        self._timeouts = timeouts
        self._throttled_log = ThrottledLog(time.monotonic)
        self._collectors = Collectors(
            addresses,
            random=Random(os.urandom(8)),  # noqa: S311  jitter is no secret
            monotonic=time.monotonic,
        )
        self._connections = {
            address: CollectorConnection(
                address, connect_s=timeouts.connect, answer_s=timeouts.answer
            )
            for address in addresses
        }
        self.retries = 0
        self.last_error: str | None = None

    def deliver(self, batch: Batch, back_off: Callable[[float], bool]) -> Result | None:
        """Send a batch until its outcome is known.

        Args:
            batch: The batch.
            back_off: Waits for so many seconds, while no collector is to be used; returns whether
                to go on.

        Returns:
            What became of it; None if it is given up.
        """
        while not self._is_too_old(batch):
            collector = self._collectors.choose()
            if collector is None:
                if batch.faulty_since is None:  # else the log says already how to mend that
                    self._throttled_log.warn(
                        "away", "no collector answers; values wait: %s", self.last_error
                    )
                if not back_off(self._collectors.pause_s):
                    return None
                continue
            result = self._attempt(batch, collector)
            if result.outcome in _FINAL:
                return result
        why = (
            f"no collector took them within {self._timeouts.repeat:g} s: {self.last_error}"
            if batch.unknown_since is None
            else "it is not known whether they count"
        )
        self.note("old", f"{batch.values} values given up: {why}")
        return None

    def wake(self) -> None:
        """Let every collector be tried at once, however long it was to be left alone."""
        self._collectors.wake()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()

    def warn_buffer_full(self) -> None:
        """Warn in the app's log that values find no room."""
        self._throttled_log.warn(
            "full",
            "the buffer is full: new values are dropped and counted; %s",
            self.last_error or "they come faster than they can be sent",
        )

    def note_rejected(self, result: Result) -> None:
        """Warn in the app's log that values are at fault."""
        self.note("rejected", f"{result.rejected} values rejected: {self.last_error}")

    def note(self, kind: str, error: str) -> None:
        """Remember what went wrong, and warn in the app's log."""
        self.last_error = error
        self._throttled_log.warn(kind, "%s", error)

    def _is_too_old(self, batch: Batch) -> bool:
        times = [since for since in (batch.unknown_since, batch.faulty_since) if since is not None]
        arrives = time.monotonic() + self._timeouts.connect + self._timeouts.answer
        return bool(times) and arrives - min(times) > self._timeouts.repeat

    def _attempt(self, batch: Batch, collector: Collector) -> Result:
        self.retries += batch.attempts > 0
        batch.attempts += 1
        began = time.monotonic()
        retry_after_s = None
        try:
            answer = self._connections[collector.address].post(batch.body, self._headers_of(batch))
            result = classify(answer, batch.values)
            retry_after_s = answer.retry_after_s
        except CollectorAwayError as error:
            result = Result(Outcome.UNAVAILABLE, detail=str(error), is_stored=not error.is_unsent)
        if result.detail:
            self.last_error = f"{collector.address.url}: {result.detail}"
        if result.outcome in _FINAL:
            self._collectors.answered(collector)
            if result.rejected and result.outcome is not Outcome.TOO_LARGE:
                self.note_rejected(result)
            return result
        self._collectors.failed(collector, retry_after_s)
        if result.is_stored and batch.unknown_since is None:
            batch.unknown_since = began
        if result.outcome is Outcome.UNEXPECTED:
            url = collector.address.url
            self._throttled_log.warn(
                f"faulty {url}", "values wait: %s answers %s", url, result.detail
            )
            if batch.faulty_since is None:
                batch.faulty_since = began
        return result

    def _headers_of(self, batch: Batch) -> dict[str, str]:
        headers = {**self._headers, "Idempotency-Key": batch.idempotency_key}
        if batch.is_gzip:
            headers["Content-Encoding"] = "gzip"
        return headers
