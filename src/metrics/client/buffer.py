"""The values that wait in an app's memory: at most so many, added by any thread without a lock.

A lock would make an app's threads wait for each other and for the sender, hang a signal handler
that interrupts its owner, and stay locked in a process forked meanwhile. So whatever an app's
thread does here is one step of the interpreter: it draws a ticket, or adds a pair to an array.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from operator import length_hint
from typing import TypeAlias

from metrics.hours import SECONDS_PER_HOUR
from metrics.message import check_dropped, check_key, check_value

Samples: TypeAlias = "array[float]"
"""Timestamps (Unix seconds) and values of one key in turn: 16 bytes a value."""

Hours = dict[tuple[str, int], int]
"""Key and hour (since 1970) -> how many values."""

_INFINITY = float("inf")
_COUNTER_MAX = 2**62
_DROPS_PER_CALL = 1024


class LockFreeCounter:
    """A count to which any thread adds without a lock: a range of which one number is taken."""

    __slots__ = ("_left", "add")

    def __init__(self) -> None:
        self._left = iter(range(_COUNTER_MAX))
        self.add = self._left.__next__
        """Adds one; returns how many were added before."""

    @property
    def total(self) -> int:
        """How many were added."""
        return _COUNTER_MAX - length_hint(self._left)


class Buffer:
    """Columns of values, one a key. Apps add to them, one sender takes from them.

    Every value draws a ticket. There is room for it if its ticket is below the limit: the values
    that are done with, and those that may wait. So the newest are dropped when it is full.

    Args:
        values_max: How many values may wait, or be on their way.
        batch_size: How many are taken at once.
        now: Clock, in Unix seconds.
        call: Calls the sender, from an app's thread, when there is something to do: the first
            value, or enough of them for a batch.
    """

    def __init__(
        self,
        *,
        values_max: int,
        batch_size: int,
        now: Callable[[], float],
        call: Callable[[], None],
    ) -> None:
        self._values_max = values_max
        self.batch_size = batch_size
        self._now = now
        self._call = call
        self._samples: dict[str, Samples] = {}
        self._tickets = LockFreeCounter()
        self._draw = self._tickets.add
        self._drops: dict[tuple[str, int], LockFreeCounter] = {}
        self._reported: Hours = {}
        self._losses: deque[tuple[str, int, int]] = deque()
        self._forgotten = 0
        self._released = 0
        self.is_closed = False
        self._limit = values_max
        self._call_at = 0

    def add(self, key: str, value: float) -> None:
        """Add a value with the time of now, or drop and count it if there is no room.

        Raises:
            InvalidMessageError: If the key or the value is none; nothing is counted.
        """
        samples = self._samples.get(key) if key.__class__ is str else None
        if samples is None:
            samples = self._samples.setdefault(check_key(key), array("d"))
        if value.__class__ is not float or not 0.0 <= value < _INFINITY:
            value = check_value(value)
        ticket = self._draw()
        if ticket >= self._call_at and not self._admit(ticket, key):
            return
        samples.extend((self._now(), value))

    def add_loss(self, key: str, dropped: int) -> None:
        """Add how many messages of a key were lost before they came here, to be reported.

        Raises:
            InvalidMessageError: If the key is none, or the number.
        """
        hour = int(self._now()) // SECONDS_PER_HOUR
        self._losses.append((check_key(key), hour, check_dropped(dropped)))
        self._call()

    def close(self) -> None:
        """Drop whatever is added from now on."""
        self.is_closed = True
        self._limit = self._call_at = 0

    @property
    def recorded(self) -> int:
        """How many values were added, those that were dropped with them."""
        return self._tickets.total

    @property
    def dropped(self) -> int:
        """How many values found no room."""
        return self._forgotten + sum(counter.total for counter in list(self._drops.values()))

    @property
    def waiting(self) -> int:
        """How many values can be taken."""
        return sum(map(len, list(self._samples.values()))) // 2

    @property
    def outstanding(self) -> int:
        """How many values wait, are on their way, or are just being added."""
        return self.recorded - self._done

    def batches(self) -> Iterator[dict[str, Samples]]:
        """Take out what waits now, in parts of at most a batch; later values are left alone.

        Whoever begins must take all of them.
        """
        batch: dict[str, Samples] = {}
        room = self.batch_size
        for key, samples in list(self._samples.items()):
            # All of it at once: what is left behind has to be moved to the front each time.
            taken = samples[:]
            del samples[: len(taken)]
            start = 0
            while start < len(taken):
                part = batch[key] = taken[start : start + 2 * room]
                start += len(part)
                room -= len(part) // 2
                if not room:
                    yield batch
                    batch, room = {}, self.batch_size
        if batch:
            yield batch

    def release(self, count: int) -> None:
        """Make room in the place of values that were taken and are done with."""
        self._released += count
        self._set_limit()

    def take_drops(self) -> Hours:
        """Return how many values were dropped since the last call."""
        found: Hours = {}
        current_hour = int(self._now()) // SECONDS_PER_HOUR
        for name, counter in list(self._drops.items()):
            total = counter.total
            if total > self._reported.get(name, 0):
                found[name] = total - self._reported.get(name, 0)
                self._reported[name] = total
            elif name[1] < current_hour - 1:
                del self._drops[name]
                self._forgotten += self._reported.pop(name)
        if found:
            self._set_limit()
        return found

    def take_losses(self) -> Hours:
        """Return how many messages were lost elsewhere since the last call."""
        found: Hours = {}
        while self._losses:
            key, hour, dropped = self._losses.popleft()
            found[key, hour] = found.get((key, hour), 0) + dropped
        return found

    def set_wake_threshold(self) -> None:
        """Wake the sender when a batch is full or, if nothing waits, at the next value."""
        if not self.is_closed:
            done = self._done
            enough = done + self.batch_size - 1 if self.outstanding else done
            self._call_at = min(enough, self._limit)

    def wake_on_every_add(self) -> None:
        """Wake the sender at every value, until its thread runs and sets a threshold."""
        self._call_at = 0

    @property
    def _done(self) -> int:
        return self._released + self._forgotten + sum(self._reported.values())

    def _set_limit(self) -> None:
        if not self.is_closed:
            self._limit = self._call_at = self._done + self._values_max

    def _admit(self, ticket: int, key: str) -> bool:
        """Return whether there is room, and call the sender if it asked for it."""
        if ticket >= self._limit:
            hour = int(self._now()) // SECONDS_PER_HOUR
            counter = self._drops.get((key, hour)) or self._drops.setdefault(
                (key, hour), LockFreeCounter()
            )
            if counter.add() % _DROPS_PER_CALL == 0:
                self._call()
            return False
        self._call_at = self._limit
        try:
            self._call()
        except BaseException:
            # An app's signal handler has raised: perhaps before the sender was called.
            self.wake_on_every_add()
            raise
        return True


def hours_of(parts: dict[str, Samples]) -> Hours:
    """Return how many values of each key and hour are in columns."""
    found: Hours = {}
    for key, samples in parts.items():
        for timestamp in samples[::2]:
            name = key, int(timestamp) // SECONDS_PER_HOUR
            found[name] = found.get(name, 0) + 1
    return found


def merged(*hours: Hours) -> Hours:
    """Return the sums of counts per key and hour."""
    found: Hours = {}
    for name, count in chain.from_iterable(map(dict.items, hours)):
        found[name] = found.get(name, 0) + count
    return found
