"""The values that wait in an app's memory: at most so many, added by any thread without a lock.

A lock would make an app's threads wait for each other and for the sender, hang a signal handler
that interrupts its owner, and stay locked in a process forked meanwhile. So whatever an app's
thread does here is one step of the interpreter: it draws a ticket, or adds a pair to an array.

A key is forgotten as soon as its values are taken; it comes again with its next value. A thread of
the app may hold its array just then, and add to it: so an array is kept until nobody else does.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from metrics.client import threads
from metrics.client.counter import LockFreeCounter
from metrics.client.losses import NAMES_MAX, OTHER_KEY, Hours
from metrics.hours import SECONDS_PER_HOUR
from metrics.message import check_dropped, check_key, check_value

Samples: TypeAlias = "array[float]"
"""Timestamps (Unix seconds) and values of one key in turn: 16 bytes a value."""

_INFINITY = float("inf")
_DROPS_PER_CALL = 1024

PAUSE_S = 0.00005
"""How long a thread rests, so that another one has the interpreter."""

PAUSES_MAX = 100
"""How often an app's thread does so where values come faster than they can be folded."""


def _popped(columns: dict[str, Samples], key: str) -> "tuple[Samples | None, int]":
    """Return the array of a key that nobody finds from now on, and how many have it."""
    samples = columns.pop(key, None)
    return samples, sys.getrefcount(samples)


_, _ALONE = _popped({"": array("d")}, "")


class Buffer:
    """Columns of values, one a key. Apps add to them; the sender and the folder take from them.

    Every value draws a ticket. There is room for it if its ticket is below the limit: the values
    that are done with, and those that may wait. So the newest are dropped when it is full.

    Args:
        values_max: How many values may wait, or be on their way.
        batch_size: How many are taken at once.
        now: Clock, in Unix seconds.
        call: Calls whoever takes, from an app's thread, when there is something to do: the first
            value, enough of them for a batch, or half of what there is room for.
        is_folding: Returns whether somebody is about to make room.
        other_key: Of what is dropped of one key too many.
    """

    def __init__(
        self,
        *,
        values_max: int,
        batch_size: int,
        now: Callable[[], float],
        call: Callable[[], None],
        is_folding: Callable[[], bool] = lambda: False,
        other_key: str = OTHER_KEY,
    ) -> None:
        self._values_max = values_max
        self.batch_size = batch_size
        self._now = now
        self._call = call
        self._is_folding = is_folding
        self._other_key = other_key
        self._samples: dict[str, Samples] = {}
        self._held: deque[dict[str, Samples]] = deque()
        # Of those who take; no thread of the app's ever waits for it.
        self._taking = threads.new_lock()
        self._tickets = LockFreeCounter()
        self._draw = self._tickets.add
        self._drops: dict[tuple[str, int], LockFreeCounter] = {}
        self._reported: Hours = {}
        self._losses: deque[tuple[str, int, int]] = deque()
        self._forgotten = 0
        self._released = 0
        self.is_closed = False
        self._limit = values_max
        self._half = values_max // 2
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
        self._limit = self._half = self._call_at = 0

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
        columns = [self._samples, *list(self._held)]
        return sum(len(samples) for each in columns for samples in list(each.values())) // 2

    @property
    def outstanding(self) -> int:
        """How many values wait, are on their way, or are just being added."""
        return self.recorded - self._done

    @property
    def is_half_full(self) -> bool:
        """Whether half of the room is taken."""
        return not self.is_closed and self.recorded >= self._half

    def batches(self) -> Iterator[dict[str, Samples]]:
        """Take out what waits now, in parts of at most a batch; later values are left alone.

        Whoever begins must take all of them.
        """
        left = self.waiting
        while left > 0 and (batch := self._take(min(left, self.batch_size))):
            left -= sum(map(len, batch.values())) // 2
            yield batch

    def columns(self) -> Iterator[tuple[str, Samples]]:
        """Take out what waits now, column by column; and forget the keys."""
        for _ in range(len(self._held)):
            yield from self._columns_of(self._held.popleft() if self._held else {})
        yield from self._columns_of(self._samples)

    def _columns_of(self, columns: dict[str, Samples]) -> Iterator[tuple[str, Samples]]:
        for key in list(columns):
            samples, references = _popped(columns, key)
            if samples is None:  # somebody else has taken it
                continue
            if references > _ALONE:
                # Whoever has it may just be adding to it.
                self._held.append({key: samples})
                taken = samples[:]
                del samples[: len(taken)]
                samples = taken
            if samples:
                yield key, samples

    def _take(self, count: int) -> dict[str, Samples]:
        """Take out so many values, if there are; the rest of a column waits again."""
        found: dict[str, Samples] = {}
        for key, samples in self.columns():
            part = samples[: 2 * count]
            if len(part) < len(samples):
                self._held.appendleft({key: samples[len(part) :]})
            found[key] = found[key] + part if key in found else part
            count -= len(part) // 2
            if not count:
                break
        return found

    def release(self, count: int) -> None:
        """Make room in the place of values that were taken and are done with."""
        with self._taking:
            self._released += count
            self._set_limit()

    def take_drops(self) -> Hours:
        """Return how many values were dropped since the last call."""
        found: Hours = {}
        current_hour = int(self._now()) // SECONDS_PER_HOUR
        with self._taking:
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

    def set_wake_threshold(self, batch_size: int) -> None:
        """Wake the sender when so many values wait or, if none does, at the next value."""
        if not self.is_closed:
            done = self._done
            enough = done + batch_size - 1 if self.outstanding else done
            self._call_at = min(enough, self._limit if self.is_half_full else self._half)

    def wake_on_every_add(self) -> None:
        """Wake the sender at every value, until its thread runs and sets a threshold."""
        self._call_at = 0

    @property
    def _done(self) -> int:
        return self._released + self._forgotten + sum(self._reported.values())

    def _set_limit(self) -> None:
        if not self.is_closed:
            done = self._done
            self._limit = done + self._values_max
            self._half = self._call_at = done + self._values_max // 2

    def _admit(self, ticket: int, key: str) -> bool:
        """Return whether there is room, and call the sender if it asked for it."""
        if ticket >= self._limit and not self._has_room_soon(ticket):
            name = key, int(self._now()) // SECONDS_PER_HOUR
            if name not in self._drops and len(self._drops) >= NAMES_MAX:
                name = self._other_key, name[1]
            counter = self._drops.get(name) or self._drops.setdefault(name, LockFreeCounter())
            if counter.add() % _DROPS_PER_CALL == 0:
                self._call()
            return False
        self._call_at = self._limit if ticket >= self._half else self._half
        try:
            self._call()
        except BaseException:
            # An app's signal handler has raised: perhaps before the sender was called.
            self.wake_on_every_add()
            raise
        return True

    def _has_room_soon(self, ticket: int) -> bool:
        """Let the folder go on, if there is one; return whether it has made room."""
        for _ in range(PAUSES_MAX):
            if self.is_closed:
                break
            self._call()
            if not self._is_folding():
                break
            threads.sleep(PAUSE_S)
            if ticket < self._limit:
                return True
        return False
