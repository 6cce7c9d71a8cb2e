"""Brings one batch after the other to a collector: which one, how often, and until when."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from metrics.client.batch import Batch
from metrics.client.collectors import Address, Collector, Collectors
from metrics.client.complaints import Complaints
from metrics.client.verdict import Fate, Verdict, judge
from metrics.client.wire import Wire
from metrics.errors import CollectorAwayError

_FINAL = {Fate.TAKEN, Fate.REFUSED, Fate.TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for what, in seconds.

    Attributes:
        connect: For a connection.
        answer: For an answer, from the first byte sent to the last one read.
        repeat: For the fate of a batch that may be stored: collectors must remember it so long.
    """

    connect: float
    answer: float
    repeat: float


class Delivery:
    """The way to the collectors. For one thread; its counts may be read in any.

    Attributes:
        retries: How often a batch was sent again.
        last_error: What went wrong last; None if nothing did.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        headers: dict[str, str],
        patience: Patience,
    ) -> None:
        """Prepare the connections.

        Args:
            addresses: Of the collectors.
            headers: Sent with each batch.
            patience: How long to wait for what.
        """
        self._headers = headers
        self._patience = patience
        self._complaints = Complaints(time.monotonic)
        self._collectors = Collectors(
            addresses,
            random=Random(os.urandom(8)),  # noqa: S311  jitter is no secret
            monotonic=time.monotonic,
        )
        self._wires = {
            address: Wire(address, connect_s=patience.connect, answer_s=patience.answer)
            for address in addresses
        }
        self.retries = 0
        self.last_error: str | None = None

    def deliver(self, batch: Batch, rest: Callable[[float], bool]) -> Verdict | None:
        """Send a batch until its fate is known.

        Args:
            batch: The batch.
            rest: Waits for so many seconds, while no collector is to be used; returns whether to
                go on.

        Returns:
            What became of it; None if it is given up.
        """
        while not self._is_too_old(batch):
            collector = self._collectors.choose()
            if collector is None:
                if batch.faulty_since is None:  # else it was told how to mend that
                    self._complaints.warn(
                        "away", "no collector answers; values wait: %s", self.last_error
                    )
                if not rest(self._collectors.rest_s):
                    return None
                continue
            verdict = self._attempt(batch, collector)
            if verdict.fate in _FINAL:
                return verdict
        why = (
            f"no collector took them within {self._patience.repeat:g} s: {self.last_error}"
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
        for wire in self._wires.values():
            wire.close()

    def tell_drops(self) -> None:
        """Tell the app's log that values find no room."""
        self._complaints.warn(
            "full",
            "the buffer is full: new values are dropped and counted; %s",
            self.last_error or "they come faster than they can be sent",
        )

    def note_rejected(self, verdict: Verdict) -> None:
        """Tell the app's log that values are at fault."""
        self.note("rejected", f"{verdict.rejected} values rejected: {self.last_error}")

    def note(self, kind: str, error: str) -> None:
        """Remember what went wrong, and tell the app's log."""
        self.last_error = error
        self._complaints.warn(kind, "%s", error)

    def _is_too_old(self, batch: Batch) -> bool:
        times = [since for since in (batch.unknown_since, batch.faulty_since) if since is not None]
        arrives = time.monotonic() + self._patience.connect + self._patience.answer
        return bool(times) and arrives - min(times) > self._patience.repeat

    def _attempt(self, batch: Batch, collector: Collector) -> Verdict:
        self.retries += batch.attempts > 0
        batch.attempts += 1
        began = time.monotonic()
        retry_after_s = None
        try:
            answer = self._wires[collector.address].post(batch.body, self._headers_of(batch))
            verdict = judge(answer, batch.values)
            retry_after_s = answer.retry_after_s
        except CollectorAwayError as error:
            verdict = Verdict(Fate.AWAY, detail=str(error), is_stored=not error.is_unsent)
        if verdict.detail:
            self.last_error = f"{collector.address.url}: {verdict.detail}"
        if verdict.fate in _FINAL:
            self._collectors.answered(collector)
            if verdict.rejected and verdict.fate is not Fate.TOO_LARGE:
                self.note_rejected(verdict)
            return verdict
        self._collectors.failed(collector, retry_after_s)
        if verdict.is_stored and batch.unknown_since is None:
            batch.unknown_since = began
        if verdict.fate is Fate.FAULTY:
            url = collector.address.url
            self._complaints.warn(
                f"faulty {url}", "values wait: %s answers %s", url, verdict.detail
            )
            if batch.faulty_since is None:
                batch.faulty_since = began
        return verdict

    def _headers_of(self, batch: Batch) -> dict[str, str]:
        headers = {**self._headers, "Idempotency-Key": batch.idempotency_key}
        if batch.is_gzip:
            headers["Content-Encoding"] = "gzip"
        return headers
