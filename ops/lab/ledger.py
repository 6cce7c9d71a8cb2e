"""A ledger of what was sent and how it was answered, and its comparison with what was counted.

Message ``j`` of a key has the value ``4**j``. So the sum of a key tells of each message how often
it was counted: it is the number whose digits, in base 4, are these counts. No loss can make up for
a duplicate. A message that is counted four times or more carries over to the next digit, and then
the digits do not add up to the count.

Source:
    The three outcomes of Jepsen, https://github.com/jepsen-io/jepsen/tree/main/doc/tutorial
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Outcome = Literal["ok", "fail", "info"]
"""Of an attempt: Redis has the messages; it certainly got none from this attempt; nobody knows."""

Expected = Literal["1", "0", "0 or 1"]
"""How often a message must be counted."""

BASE = 4

MESSAGES_MAX = 25
"""Messages of one key: their sum is below ``4**25``, up to which doubles are exact."""

_STORED = 202
_REFUSED = frozenset({400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 422, 429, 431})
_UNAVAILABLE = 503


def outcome_of(status: int, stored: object = None) -> Outcome:
    """Return what an answer of the collector says of the messages of its request.

    Args:
        status: Of the answer, whole and sound; an answer that was cut short says nothing.
        stored: What its problem says under that name.
    """
    if status == _STORED:
        return "ok"
    if status in _REFUSED or (status == _UNAVAILABLE and stored == "no"):
        return "fail"
    return "info"


@dataclass(frozen=True, slots=True)
class Message:
    """A message, told from all others of its key by its value.

    Attributes:
        key: Its key.
        number: 0 to ``MESSAGES_MAX - 1``, each once.
    """

    key: str
    number: int

    @property
    def value(self) -> float:
        """What to send, in no unit."""
        return float(BASE**self.number)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the hashes of a key hold, all hours together.

    Attributes:
        sum: Of the values.
        count: Number of messages.
    """

    sum: float
    count: int

    def times(self) -> dict[int, int]:
        """Return the number of each message that was counted, and how often that was.

        Raises:
            ValueError: If sum and count are of no such messages, or of one that was counted four
                times or more.
        """
        found = {}
        if 0 <= self.sum < BASE**MESSAGES_MAX and self.sum.is_integer():
            rest = int(self.sum)
            for number in range(MESSAGES_MAX):
                rest, times = divmod(rest, BASE)
                if times:
                    found[number] = times
        if sum(found.values()) != self.count:
            raise ValueError(f"count {self.count}, but sum {self.sum!r} has the digits {found}")
        return found


NOTHING = Counted(0.0, 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A message that was not counted as often as it must be.

    Attributes:
        batch: Its batch; empty if nobody sent such a message.
        number: Its number among those of its key; -1 if no single one is to blame.
        key: Its key.
        expected: How often it must be counted.
        counted: How often it was.
    """

    batch: str
    number: int
    key: str
    expected: Expected
    counted: int

    def __str__(self) -> str:
        if self.number < 0:
            return f"key {self.key}: count {self.counted} does not fit the sum: many duplicates"
        whose = f"of batch {self.batch}" if self.batch else "that nobody sent"
        times = f"counted {self.counted} times, expected {self.expected}"
        return f"key {self.key}: message {self.number} {whose}: {times}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One send of a batch.

    Attributes:
        batch: Of which batch.
        began: Position in the ledger when it was about to be sent.
    """

    batch: str
    began: int


@dataclass(slots=True)
class _Batch:
    messages: tuple[Message, ...]
    attempts: dict[int, tuple[int, Outcome]] = field(default_factory=dict)
    """Position at which one began -> position of its outcome (0 if none yet), and the outcome."""


@dataclass(frozen=True, slots=True)
class _Rollback:
    to: int
    at: int
    concerns: Callable[[str], bool]

    def undoes(self, key: str, began: int, ended: int) -> bool:
        return began < self.at and ended > self.to and self.concerns(key)


def _concerns_all(key: str) -> bool:
    return True


class Ledger:
    """What was sent, and how it was answered. Safe for threads.

    All attempts of a batch are one operation: under one Idempotency-Key they count once in all.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._position = 0
        self._batches: dict[str, _Batch] = {}
        self._numbers: dict[str, int] = {}
        self._rollbacks: list[_Rollback] = []

    def room_of(self, key: str) -> int:
        """Return how many more messages a key may have."""
        return MESSAGES_MAX - self._numbers.get(key, 0)

    def open(self, batch: str, keys: Sequence[str]) -> tuple[Message, ...]:
        """Return the messages of a new batch, one for each of ``keys``, in which one may repeat.

        Args:
            batch: Its id; such as its Idempotency-Key.
            keys: Of its messages.

        Raises:
            ValueError: If there is such a batch, or a key has no room for more.
        """
        with self._lock:
            if batch in self._batches:
                raise ValueError(f"batch {batch} is in the ledger already")
            numbers = dict(self._numbers)
            messages = []
            for key in keys:
                number = numbers.get(key, 0)
                if number >= MESSAGES_MAX:
                    raise ValueError(f"key {key} has its {MESSAGES_MAX} messages; use another")
                numbers[key] = number + 1
                messages.append(Message(key, number))
            self._numbers = numbers
            self._batches[batch] = _Batch(tuple(messages))
            return tuple(messages)

    def about_to_send(self, batch: str) -> Attempt:
        """Write down that a batch is about to be sent, perhaps again; until told, it is ``info``.

        Raises:
            KeyError: If there is no such batch.
        """
        with self._lock:
            attempts = self._batches[batch].attempts
            began = self._next()
            attempts[began] = (0, "info")
            return Attempt(batch, began)

    def answered(self, attempt: Attempt, outcome: Outcome) -> None:
        """Write down the outcome of an attempt.

        Raises:
            ValueError: If it has one already.
        """
        with self._lock:
            attempts = self._batches[attempt.batch].attempts
            ended, earlier = attempts[attempt.began]
            if ended:
                raise ValueError(f"{attempt} has its outcome already: {earlier}")
            attempts[attempt.began] = (self._next(), outcome)

    def position(self) -> int:
        """Return where the ledger is, to say later that Redis went back to here."""
        with self._lock:
            return self._position

    def rolled_back(self, to: int, concerns: Callable[[str], bool] = _concerns_all) -> None:
        """Write down that Redis may have lost what it did since ``to``, as in a failover.

        To be called when it can lose no more. What was answered since then, and what is under way
        still, may be missing. Nothing may count twice even so.

        Args:
            to: A position.
            concerns: Tells which keys are concerned.
        """
        with self._lock:
            self._rollbacks.append(_Rollback(to, self._next(), concerns))

    def counts(self) -> Counter[Expected]:
        """Return how many messages must be counted how often, if all were in the hashes now."""
        with self._lock:
            return Counter(
                self._expected(message.key, batch) for _, message, batch in self._messages()
            )

    def check(self, counted: Mapping[str, Counted], *, is_drained: bool = True) -> list[Difference]:
        """Return what differs between this ledger and the hashes.

        Args:
            counted: Key -> what its hashes hold; of every key that has any.
            is_drained: Whether all that was accepted must be in the hashes by now. Otherwise only
                what must not be there is a difference.
        """
        differences = []
        with self._lock:
            times = {}
            for key, found in counted.items():
                try:
                    times[key] = found.times()
                except ValueError:
                    differences.append(Difference("", -1, key, "1", found.count))
            for name, message, batch in self._messages():
                if message.key in counted and message.key not in times:
                    continue
                count = times.get(message.key, {}).pop(message.number, 0)
                expected = self._expected(message.key, batch)
                if expected == "1" and not is_drained:
                    expected = "0 or 1"
                if str(count) not in expected.split(" or "):
                    differences.append(
                        Difference(name, message.number, message.key, expected, count)
                    )
        differences += [
            Difference("", number, key, "0", count)
            for key, phantoms in times.items()
            for number, count in phantoms.items()
        ]
        return differences

    def _next(self) -> int:
        self._position += 1
        return self._position

    def _messages(self) -> Iterator[tuple[str, Message, _Batch]]:
        for name, batch in self._batches.items():
            for message in batch.messages:
                yield name, message, batch

    def _expected(self, key: str, batch: _Batch) -> Expected:
        expected: Expected = "0"
        for began, (ended, outcome) in batch.attempts.items():
            is_undone = any(each.undoes(key, began, ended) for each in self._rollbacks)
            if outcome == "ok" and not is_undone:
                return "1"
            if outcome != "fail":
                expected = "0 or 1"
        return expected
