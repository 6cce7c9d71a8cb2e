"""The client that an app has: it takes values at once, and delivers them when it can."""

import atexit
import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import ClassVar, Self

from metrics.client import threads
from metrics.client.arguments import (
    check_at_least,
    check_at_most_a_day,
    check_message,
    check_report,
    check_whole,
)
from metrics.client.buffer import Buffer
from metrics.client.collectors import Address
from metrics.client.delivery import Delivery, Timeouts
from metrics.client.exits import at_exit_of_child, if_alive
from metrics.client.folder import Folder
from metrics.client.folds import FOLD_BUCKETS, Folds
from metrics.client.losses import OTHER_KEY, Losses
from metrics.client.sender import Pace, Sender
from metrics.client.stats import Stats
from metrics.client.timer import Timer
from metrics.message import check_key

EXIT_SECONDS = 2.0
"""How long an interpreter that exits waits for what is still to be delivered."""

BATCH_SIZE_MAX = 100_000
"""Keeps a body far below what a collector takes, 8 MB."""

_START_AGAIN_S = 1.0
"""How long not to try again what starts no thread."""


class Client:
    """Records response times in an app. All methods may be called from any thread or greenlet.

    A daemon thread, started with the first value, sends what was recorded. In a forked child the
    client begins anew: what its parent has recorded, the parent sends.

    Nothing is sent and no thread is started before the first value.

    Args:
        collectors: Their URLs, ``http://collector-1:8000``, in any order; or one text with
            commas between them. Default: METRICS_COLLECTORS.
        key: Of this app instance, for ``timer()`` and the middleware. Default: METRICS_KEY.
        token: For collectors that ask for one. Default: METRICS_TOKEN.
        max_buffered: How many values may wait, at 16 bytes each; from half of it on they are
            folded into aggregates, by key and hour.
        max_folded: How many buckets of aggregates may wait, at 110 bytes each; a key and hour
            takes the room of 8 more. What finds no room is dropped, and reported.
        aggregate: True folds all values before they are sent, once in ``flush_seconds``: then
            neither requests nor their bytes grow with the number of values.
        flush_seconds: How long a value waits at most for others to be sent with.
        batch_size: How many values are sent at once; at most half of ``max_buffered``.
        connect_seconds: How long a connection to a collector may take.
        answer_seconds: How long its answer may take.
        repeat_seconds: How long a batch that may be stored is sent again. Must be less than
            the collectors' METRICS_DEDUPE_SECONDS, or it may count twice.
        enabled: False lets ``record`` check its arguments and do nothing else.
        environ: The environment.

    Raises:
        ValueError: If one of them cannot be used; the text names it.
    """

    pace: ClassVar[Pace] = Pace()
    """How its thread shares the interpreter with those of the app."""

    def __init__(
        self,
        collectors: Iterable[str] | str | None = None,
        *,
        key: str | None = None,
        token: str | None = None,
        max_buffered: int = 10_000,
        max_folded: int = 50_000,
        aggregate: bool = False,
        flush_seconds: float = 1.0,
        batch_size: int = 1000,
        connect_seconds: float = 0.5,
        answer_seconds: float = 2.0,
        repeat_seconds: float = 600.0,
        enabled: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.key = check_key(key) if (key := key or environ.get("METRICS_KEY")) else None
        if collectors is None:
            collectors = environ.get("METRICS_COLLECTORS", "")
        urls = collectors.split(",") if isinstance(collectors, str) else list(collectors)
        self._addresses = [Address.parse(url.strip()) for url in urls if url.strip()]
        if enabled and not self._addresses:
            raise ValueError(
                "a client needs collectors: pass their URLs, or set METRICS_COLLECTORS, "
                "or pass enabled=False"
            )
        self._headers = _headers(token or environ.get("METRICS_TOKEN"))
        self._timeouts = Timeouts(connect_seconds, answer_seconds, repeat_seconds)
        self._flush_seconds = flush_seconds
        check_at_most_a_day(
            flush_seconds=flush_seconds,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
            repeat_seconds=repeat_seconds,
        )
        check_at_least(0, flush_seconds=flush_seconds)
        check_at_least(0.001, connect_seconds=connect_seconds, answer_seconds=answer_seconds)
        check_at_least(connect_seconds + answer_seconds, repeat_seconds=repeat_seconds)
        check_whole(max_buffered=max_buffered, max_folded=max_folded, batch_size=batch_size)
        check_at_least(2, max_buffered=max_buffered)
        check_at_least(FOLD_BUCKETS + 1 if aggregate else 0, max_folded=max_folded)
        check_at_least(1, batch_size=batch_size)
        self._max_buffered = max_buffered
        self._max_folded = max_folded
        self._is_folding = aggregate
        self._batch_size = min(batch_size, max_buffered // 2, BATCH_SIZE_MAX)
        self._is_enabled = enabled
        self._no_fork = lock = threads.new_lock()
        # Of RQ, whose jobs run in children that end by os._exit; the client may be made in one.
        self._begin(may_end_unnoticed="RQ_JOB_ID" in environ)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
            )
            os.register_at_fork(after_in_child=if_alive(self._begin_anew))
        # Now, and not with the first value: whatever is registered later ends before it.
        self._at_exit = if_alive(self._close_at_exit)
        atexit.register(self._at_exit)

    def record(self, key: str, value: float) -> None:
        """Record a response time. Whatever happens to delivery, raises nothing.

        It waits for no network. Where values come faster than they can be folded it rests, for 5 ms
        at most.

        Args:
            key: One app instance, ``checkout.web-1``.
            value: Finite and at least 0; milliseconds by convention.

        Raises:
            InvalidMessageError: If key or value is none; a ValueError.
        """
        self._add(key, value)

    def report_dropped(self, key: str, dropped: int) -> None:
        """Report that messages were lost before they could be recorded: answers then say so.

        They belong to the hour of now, and are not in ``stats``. Call it now and then with a sum,
        not for each message.

        Args:
            key: Theirs.
            dropped: How many.

        Raises:
            InvalidMessageError: If the key is none, or the number is not 1 to 1,000,000,000; a
                ValueError.
        """
        self._report(key, dropped)

    def timer(self, key: str | None = None) -> Timer:
        """Return a timer, for ``with`` or as a decorator, that records milliseconds under a key.

        Args:
            key: Default: that of the client.

        Raises:
            ValueError: If there is no key, or it is none.
        """
        key = key or self.key
        if key is None:
            raise ValueError("a timer needs a key: pass one, or key= to the client, or METRICS_KEY")
        return Timer(self.record, check_key(key))

    def flush(self, timeout: float = 5.0) -> bool:
        """Send what was recorded so far; return whether that was done within ``timeout`` seconds.

        It waits, and so may hold up an event loop: there, call it in a thread.
        """
        if self._sender.outstanding:
            self._wake_sender()
        if not self._sender.is_alive:
            return not self._sender.waiting
        return self._sender.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Send what was recorded and end; return whether all was delivered within ``timeout`` s.

        What is recorded afterwards is dropped and counted. An interpreter that exits does this.
        """
        if self._sender.outstanding:
            self._wake_sender()
        atexit.unregister(self._at_exit)
        self._buffer.close()
        return self._sender.close(timeout)

    @property
    def stats(self) -> Stats:
        """What became of the values that were recorded in this process."""
        sender, delivery = self._sender, self._delivery
        recorded = self._buffer.recorded
        dropped = self._buffer.dropped + self._folds.dropped + sender.lost
        sent, rejected = sender.sent, sender.rejected
        return Stats(
            recorded=recorded,
            sent=sent,
            rejected=rejected,
            dropped=dropped,
            buffered=max(recorded - sent - rejected - dropped, 0),
            retries=delivery.retries,
            last_error=delivery.last_error,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, *, may_end_unnoticed: bool) -> None:
        self._delivery = Delivery(self._addresses, headers=self._headers, timeouts=self._timeouts)
        self._start_again_at = 0.0
        other_key = self.key or OTHER_KEY
        self._buffer = Buffer(
            values_max=self._max_buffered,
            batch_size=self._batch_size,
            now=time.time,
            call=self._wake,
            is_folding=lambda: self._folder.is_alive,
            other_key=other_key,
        )
        self._folds = Folds(self._max_folded, other_key)
        self._folder = Folder(self._buffer, self._folds)
        self._sender = Sender(
            self._buffer,
            self._folder,
            self._delivery,
            flush_s=self._flush_seconds,
            no_fork=self._no_fork,
            pace=self.pace,
            losses=Losses(other_key),
            is_folding=self._is_folding,
            may_end_unnoticed=may_end_unnoticed,
        )
        self._add = self._buffer.add if self._is_enabled else check_message
        self._report = self._buffer.add_loss if self._is_enabled else check_report

    def _begin_anew(self) -> None:
        """Forget, in a forked child, what belongs to the parent."""
        inherited, is_closed = self._delivery, self._buffer.is_closed
        self._begin(may_end_unnoticed=True)
        if is_closed:
            self._buffer.close()
        inherited.close()

    def _wake(self) -> None:
        if self._max_folded and self._buffer.is_half_full:
            self._folder.wake()
        self._wake_sender()

    def _wake_sender(self) -> None:
        if not self._sender.is_alive and not self._buffer.is_closed:
            self._start_sender()
        self._sender.wake()

    def _start_sender(self) -> None:
        self._buffer.wake_on_every_add()
        if time.monotonic() < self._start_again_at:
            return
        at_exit_of_child(self._at_exit)
        try:
            self._sender.start()
        except RuntimeError as error:
            # There can be no more threads now, or none any more since the interpreter exits.
            self._start_again_at = time.monotonic() + _START_AGAIN_S
            self._delivery.note("thread", f"values cannot be sent: {error}")

    def _close_at_exit(self) -> None:
        self.close(EXIT_SECONDS)


def _headers(token: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "metrics-client"}
    if token:
        if not (token.isascii() and token.isprintable()):
            raise ValueError("token must be printable ASCII")
        headers["Authorization"] = f"Bearer {token}"
    return headers
