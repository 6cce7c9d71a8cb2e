"""The thread that takes values from the buffer and has them delivered."""

import contextlib
import os
import sys
import time
from _thread import LockType
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

from metrics.client import threads
from metrics.client.batch import CHUNK_VALUES, Load, encode, loads_of
from metrics.client.buffer import Buffer
from metrics.client.connection import http_client
from metrics.client.delivery import Delivery
from metrics.client.folder import Folder
from metrics.client.losses import Losses
from metrics.client.outcome import Outcome

_IDLE_S = 3600.0
_STRAY_S = 0.05
_POLL_S = 0.005
_PAUSE_AFTER_FAULT_S = 1.0
_FIRST_S = 0.001
"""How long the first values of a process that may end at any time wait for others."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the sending thread shares the interpreter with all others.

    By default none has to wait for long. Whoever has a thread that is never idle, but may wait,
    takes larger steps, since each costs a change from one thread to the other and back.

    Attributes:
        values: How many values it writes at a time: of 100, less than 0.1 ms.
        pause_s: How long the others have it then. An app's thread that wants to run would else
            wait for the interpreter's switch interval; a sleep of 0 s need not let it
            (ops/lab/bench/client.py: p99.9 of an app 2.2 ms, so 1.7).
    """

    values: int = CHUNK_VALUES
    pause_s: float = 0.00005


class Sender:
    """Seals what waits in the buffer into batches, and has one after the other delivered.

    It sleeps on a lock used as an event: ``release()`` wakes it. ``threading.Event`` could deadlock
    in a signal handler.

    Args:
        buffer: Where the values wait.
        folder: What was folded for want of room.
        delivery: The way to the collectors.
        flush_s: How long a value waits for others to go with.
        no_fork: Held while no child must be forked.
        pace: How its thread shares the interpreter.
        losses: Where it notes what is to be reported.
        is_folding: Whether all values are folded before they are sent.
        may_end_unnoticed: Whether this process may end without notice, as forked
            children do by ``os._exit``. Then the first values after a pause are sent at once,
            and later ones wait no longer than those before them took to come.

    Attributes:
        is_alive: Whether its thread runs, or is about to.
        sent: How many values count.
        rejected: How many were refused.
        lost: How many have no outcome that is known, and are no longer sent.
    """

    def __init__(
        self,
        buffer: Buffer,
        folder: Folder,
        delivery: Delivery,
        *,
        flush_s: float,
        no_fork: LockType,
        pace: Pace,
        losses: Losses,
        is_folding: bool,
        may_end_unnoticed: bool,
    ) -> None:
        self._buffer = buffer
        self._folder = folder
        self._delivery = delivery
        self._flush_s = flush_s
        self._no_fork = no_fork
        self._pace = pace
        self._may_end_unnoticed = may_end_unnoticed
        self._burst_began = self._sent_at = -float("inf")
        self._numbers = count(1)
        self._losses = losses
        self._is_folding = is_folding
        self._begun = self._ended = 0
        self._is_hurried = self._is_closing = self._is_abandoned = False
        self._may_wake = self._may_warn = True
        self._wakeup = threads.new_lock()
        self._running = threads.new_lock()
        self.is_alive = False
        self.sent = self.rejected = self.lost = 0

    def start(self) -> None:
        """Start its thread. Done by several at once, or cut short and done again, it does no harm.

        Raises:
            RuntimeError: If there can be no more threads.
        """
        threads.start(self._run_one)
        self.is_alive = True

    def wake(self) -> None:
        """Let it look whether there is something to do. Safe in a signal handler."""
        with contextlib.suppress(RuntimeError):  # of a lock that is released already
            self._wakeup.release()

    def flush(self, timeout: float) -> bool:
        """Send at once; return whether all that waited before is done with in time."""
        turn = self._begun + 1
        self._is_hurried = True
        self.wake()
        return self._await(lambda: self._ended >= turn, timeout)

    def close(self, timeout: float) -> bool:
        """Send what waits and end; return whether all of it was delivered in time."""
        lost = self.lost
        self._is_closing = True
        self.wake()
        is_done = self._await(lambda: not self.is_alive, timeout)
        self._is_abandoned = True
        self.wake()
        return is_done and self.lost == lost and not self.waiting

    @property
    def waiting(self) -> int:
        """How many values can be sent; those that are folded count until they are done with."""
        return self._buffer.waiting + self._folder.count

    @property
    def outstanding(self) -> int:
        """How many values wait, are on their way, or are just being added."""
        return self._buffer.outstanding + self._folder.count

    def _await(self, check: Callable[[], bool], timeout: float) -> bool:
        # Looks instead of waiting on a lock: that is right in threads, greenlets and handlers.
        deadline = time.monotonic() + timeout
        while not check():
            if time.monotonic() >= deadline or not self.is_alive:
                return check()
            time.sleep(_POLL_S)
        return True

    def _run_one(self) -> None:
        # However many were started, one runs.
        if self._running.acquire(blocking=False):
            self.is_alive = True
            try:
                self._run()
            finally:
                self.is_alive = False
                self._running.release()

    def _run(self) -> None:
        # Drawn not before: uWSGI forks behind the interpreter's back, unless it is set not to.
        self._random = Random(os.urandom(8))  # noqa: S311  jitter is no secret
        self._name = os.urandom(12).hex()
        # A child that is forked in the middle of an import waits for its end for ever.
        with self._no_fork:
            http_client()
        is_last = False
        while not is_last:
            try:
                self._wait()
                is_last = self._is_closing
                self._send_all()
            except Exception as error:  # noqa: BLE001  whatever it is, this thread must live
                self._delivery.note("fault", f"{type(error).__name__}: {error}")
                threads.sleep(_PAUSE_AFTER_FAULT_S)
        self._delivery.close()

    def _wait(self) -> None:
        """Return when there is a batch, or values that have waited long enough, or a hurry."""
        due: float | None = None
        while not (self._is_hurried or self._is_closing):
            self._take_drops()
            self._buffer.set_wake_threshold(self._enough)
            if self._buffer.waiting and self._buffer.outstanding >= self._enough:
                break
            now = time.monotonic()
            if due is None and (self.outstanding or self._losses):
                due = now + self._wait_s(now)
                if not self.waiting and not self._losses:
                    # A value is just being added; or a signal handler has raised, and it never is.
                    due = max(due, now + _STRAY_S)
            if due is not None and now >= due:
                break
            self._wakeup.acquire(timeout=_IDLE_S if due is None else due - now)
        self._is_hurried = False

    @property
    def _enough(self) -> int:
        """How many values are sent without waiting for more; folded, they can wait for all."""
        return sys.maxsize if self._is_folding else self._buffer.batch_size

    def _wait_s(self, now: float) -> float:
        """Return how long values that come now wait for others."""
        longest = self._random.uniform(0.8, 1.0) * self._flush_s
        if not self._may_end_unnoticed:
            return longest
        if now - self._sent_at > self._flush_s:
            self._burst_began = now
        return min(max(now - self._burst_began, _FIRST_S), longest)

    def _send_all(self) -> None:
        """Send what waits now. What comes meanwhile has to wait for the next time."""
        self._begun += 1
        if self._is_folding:
            self._folder.fold()
        else:
            for samples in self._buffer.batches():
                self._send(Load(samples))
        for load in loads_of(self._folder.take()):
            self._send(load)
        self._take_drops()
        if self._losses:
            self._send(Load())
        self._ended = self._begun
        self._sent_at = time.monotonic()

    def _send(self, load: Load) -> None:
        self._take_drops()
        drops = self._losses.take()
        values = load.values
        result = None
        try:
            if not self._is_abandoned:
                key = f"{self._name}-{next(self._numbers)}"
                batch = encode(load, drops, key, self._yield_gil, self._pace.values)
                result = self._delivery.deliver(batch, self._back_off)
                if result and result.outcome is Outcome.TOO_LARGE:
                    halves = load.halves()
                    if len(halves) > 1 and batch.unknown_since is None:
                        self._losses.add(drops)
                        for half in halves:
                            self._send(half)
                        return
                    self._delivery.note_rejected(result)
        except Exception as error:  # noqa: BLE001  it must cost no more than this batch
            note = f"{values} values given up: {type(error).__name__}: {error}"
            self._delivery.note("fault", note)
        if result is None:
            self.lost += values
            self._losses.add(load.hours)
            self._losses.add(drops)
        else:
            self._may_warn = True
            self.sent += values - result.rejected
            self.rejected += result.rejected
        self._buffer.release(load.raw_values)
        self._folder.release(load.folded)

    def _back_off(self, seconds: float) -> bool:
        """Wait while no collector may be used; return whether to go on."""
        self._take_drops()
        if self._is_closing and self._may_wake:
            # There is no later: each of them is tried once more.
            self._may_wake = False
            self._delivery.wake()
        else:
            self._wakeup.acquire(timeout=seconds)
        return not self._is_abandoned

    def _take_drops(self) -> None:
        """Note what is to be reported; of what found no room, warn once until an answer comes."""
        self._losses.add(self._buffer.take_losses())
        for drops in (self._buffer.take_drops(), self._folder.take_losses()):
            self._losses.add(drops)
            if drops and self._may_warn:
                self._may_warn = False
                self._delivery.warn_buffer_full()

    def _yield_gil(self) -> None:
        threads.sleep(self._pace.pause_s)
