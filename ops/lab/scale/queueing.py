"""A queueing model of the pipeline in time: who waits where, when rates and capacities change.

A fluid model in small steps. A message is a drop: the questions are how deep the queues get and
how old what is in them, in seconds, of traffic in which a second has thousands of messages; there
a fluid and single messages give the same curves. Both queues are first in, first out. What is
random (the noise of arrivals, the phase of a worker's claims) comes from a seed.

Source:
    G. F. Newell, "Applications of Queueing Theory", 1982, on deterministic fluid approximations.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

STEP_S = 0.05
"""Shorter than a worker lingers between two reads."""

_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds during a step.

    Attributes:
        arrivals: Messages per second that apps record.
        collect: Messages per second that collectors can append.
        fold: Messages per second that workers can commit.
        is_away: Whether the master that may fail answers nobody.
        seized: Messages that a worker has read in this step and died with.
        is_claimed: Whether another worker takes over what a dead one has read.
    """

    arrivals: float
    collect: float
    fold: float
    is_away: bool = False
    seized: float = 0.0
    is_claimed: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """How it stands after a step; in messages since the beginning, or at this moment.

    Attributes:
        at_s: When.
        recorded: By apps.
        waiting: In the clients' buffers.
        dropped: By clients whose buffers were full.
        appended: To streams.
        backlog: Appended and not committed.
        committed: In their key-hours.
        waiting_age_s: Age of the oldest message that waits in a client.
        backlog_age_s: Age of the oldest message of the backlog, since it was appended.
    """

    at_s: float
    recorded: float
    waiting: float
    dropped: float
    appended: float
    backlog: float
    committed: float
    waiting_age_s: float
    backlog_age_s: float


class _Queue:
    """Messages with the time when each came, the oldest first."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, float]] = deque()
        self.length = 0.0

    def put(self, at_s: float, messages: float) -> None:
        """Add messages to the end."""
        if messages > _LEAST:
            self._parts.append((at_s, messages))
            self.length += messages

    def take(self, messages: float) -> float:
        """Take messages from the front; return how many there were, at most so many."""
        return sum(part for _, part in self._taken(messages))

    def move(self, messages: float, to: "_Queue") -> None:
        """Move messages from the front to another queue; they stay as old as they are."""
        for at_s, part in self._taken(messages):
            to.put(at_s, part)

    def _taken(self, messages: float) -> list[tuple[float, float]]:
        found = []
        while messages > _LEAST and self._parts:
            at_s, first = self._parts.popleft()
            part = min(first, messages)
            if first - part > _LEAST:
                self._parts.appendleft((at_s, first - part))
            found.append((at_s, part))
            messages -= part
            self.length -= part
        if not self._parts:
            self.length = 0.0
        return found

    def age_s(self, now_s: float) -> float:
        """Return the age of the oldest, 0 if there is none."""
        return now_s - self._parts[0][0] if self._parts else 0.0


@dataclass(slots=True)
class _Side:
    """The partitions of one master, or of all others: what waits for them, and their backlog."""

    share: float
    waiting: _Queue = field(default_factory=_Queue)
    backlog: _Queue = field(default_factory=_Queue)


class Pipeline:
    """Clients' buffers, the backlog, and what a dead worker has read of it.

    Args:
        buffer_max: Messages that all clients together can keep waiting.
        random: Draws the noise.
        failing: Share of the partitions that are on the master that may fail.
        noise: Standard deviation of the arrivals of a step, as a share of them.
    """

    def __init__(
        self, *, buffer_max: float, random: Random, failing: float = 0.0, noise: float = 0.02
    ) -> None:
        self._buffer_max = buffer_max
        self._random = random
        self._noise = noise
        self._well, self._failing = _Side(1 - failing), _Side(failing)
        self._seized, self._claimed = _Queue(), _Queue()
        self._recorded = self._dropped = self._appended = self._committed = 0.0
        self._steps = 0

    def step(self, now: Conditions) -> Moment:
        """Let ``STEP_S`` go by, and return how it stands then."""
        at_s = self._steps * STEP_S
        self._steps += 1
        sides = [self._well] if now.is_away else [self._well, self._failing]
        self._record(at_s, now.arrivals)
        # What is appended in this step is read in the next.
        self._fold(now, sides)
        self._append(at_s, now.collect * STEP_S, sides)
        return self._moment(at_s + STEP_S)

    def _record(self, at_s: float, arrivals: float) -> None:
        messages = max(0.0, arrivals * STEP_S * self._random.gauss(1, self._noise))
        self._recorded += messages
        room = max(0.0, self._buffer_max - self._waiting)
        # A client sends at once what it can: only what does not fit besides is dropped.
        self._dropped += max(0.0, messages - room)
        for side in (self._well, self._failing):
            side.waiting.put(at_s, min(messages, room) * side.share)

    def _append(self, at_s: float, capacity: float, sides: list[_Side]) -> None:
        for side in _oldest_first(sides, lambda side: side.waiting):
            taken = side.waiting.take(capacity)
            capacity -= taken
            self._appended += taken
            side.backlog.put(at_s, taken)

    def _fold(self, now: Conditions, sides: list[_Side]) -> None:
        if now.seized:
            self._well.backlog.move(now.seized, self._seized)
        if now.is_claimed:
            self._seized.move(self._seized.length, self._claimed)
        capacity = now.fold * STEP_S
        taken = self._claimed.take(capacity)
        for side in _oldest_first(sides, lambda side: side.backlog):
            taken += side.backlog.take(capacity - taken)
        self._committed += taken

    @property
    def _waiting(self) -> float:
        return self._well.waiting.length + self._failing.waiting.length

    def _moment(self, at_s: float) -> Moment:
        backlogs = (self._well.backlog, self._failing.backlog, self._seized, self._claimed)
        waiting = (self._well.waiting, self._failing.waiting)
        return Moment(
            at_s,
            self._recorded,
            self._waiting,
            self._dropped,
            self._appended,
            sum(queue.length for queue in backlogs),
            self._committed,
            max(queue.age_s(at_s) for queue in waiting),
            max(queue.age_s(at_s) for queue in backlogs),
        )


def _oldest_first(sides: list[_Side], queue: Callable[[_Side], _Queue]) -> list[_Side]:
    return sorted(sides, key=lambda side: -queue(side).age_s(0.0))
