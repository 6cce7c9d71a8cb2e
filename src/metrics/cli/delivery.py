"""The way to the collectors: one body at a time, sent again until its outcome is known."""

import time

import click

from metrics.cli.failures import NoAnswerError
from metrics.client.batch import Batch
from metrics.client.collectors import Address
from metrics.client.delivery import Delivery, Timeouts
from metrics.client.outcome import Outcome, Result

CONNECT_S, ANSWER_S = 2.0, 10.0
REPEAT_S = 600.0
"""How long a body that may be stored is sent again: less than METRICS_DEDUPE_SECONDS, 900."""

JSON, TEXT, JSON_LINES = "application/json", "text/plain", "application/x-ndjson"


class NotSentError(NoAnswerError):
    """No collector took a body, and nothing of it is stored."""


class UnknownOutcomeError(NoAnswerError):
    """A body may be stored or not: sent again under the same Idempotency-Key, it counts once."""


class Collectors:
    """Delivers bodies, each once, to whichever collector answers. To be closed.

    Args:
        urls: Of the collectors, with commas between.
        token: A write token; empty if they ask for none.
        wait_s: How long to wait while no collector takes a body.
        content_type: Of the bodies.

    Raises:
        click.UsageError: If a URL is none.
    """

    def __init__(self, urls: str, token: str, *, wait_s: float, content_type: str) -> None:
        try:
            addresses = [Address.parse(url.strip()) for url in urls.split(",") if url.strip()]
        except ValueError as error:
            raise click.UsageError(f"METRICS_COLLECTOR_URL, --collector-url: {error}") from error
        if not addresses:
            raise click.UsageError("METRICS_COLLECTOR_URL, --collector-url: names no collector")
        headers = {"Content-Type": content_type, "User-Agent": "metrics-cli"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        timeouts = Timeouts(CONNECT_S, ANSWER_S, REPEAT_S)
        self._delivery = Delivery(addresses, headers=headers, timeouts=timeouts)
        self._wait_s = wait_s

    def close(self) -> None:
        """Close the connections."""
        self._delivery.close()

    def post(
        self,
        body: bytes,
        *,
        lines: int,
        idempotency_key: str,
        is_gzip: bool = False,
        sent_s_ago: float | None = None,
    ) -> Result:
        """Deliver a body; return what became of it: accepted, or refused as a whole.

        Args:
            body: The bytes to send.
            lines: How many messages it may have that can be rejected.
            idempotency_key: So that it counts once.
            is_gzip: Whether the body is compressed.
            sent_s_ago: How long ago it was sent first by another process, if it was.

        Raises:
            NotSentError: If no collector takes it in time.
            UnknownOutcomeError: If one may have taken it.
        """
        batch = Batch(idempotency_key, body, is_gzip, lines)
        if sent_s_ago is not None:
            batch.unknown_since = time.monotonic() - sent_s_ago
        give_up = time.monotonic() + self._wait_s
        is_waiting = False

        def back_off(pause_s: float) -> bool:
            nonlocal is_waiting
            left_s = give_up - time.monotonic()
            # What the way itself is at fault for, no waiting mends.
            if left_s <= 0 or batch.faulty_since is not None:
                return False
            if not is_waiting:
                click.echo(f"waiting: {self._delivery.last_error}", err=True)
                is_waiting = True
            time.sleep(min(pause_s, left_s))
            return True

        result = self._delivery.deliver(batch, back_off)
        if result is not None and result.outcome in {Outcome.ACCEPTED, Outcome.REFUSED}:
            return result
        why = result.detail if result is not None else self._delivery.last_error
        why = why or "it was sent too long ago to be sent again"
        if batch.unknown_since is None:
            raise NotSentError(f"not sent: {why}")
        raise UnknownOutcomeError(f"it is not known whether all of it counts: {why}")
