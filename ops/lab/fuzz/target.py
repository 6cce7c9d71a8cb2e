"""What a reader promises of any input, and whether it keeps it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import thread_time
from typing import Generic, TypeVar
from zlib import crc32

import falcon

LIMIT_S = 0.05
"""How long a reader may work before it lets others go on, in seconds of its own processor time."""

TRIES = 4
"""How often it is measured again: others may have had the cache, or the garbage collector."""

CERTAINLY = 10
"""How many times the limit no machine takes by chance."""

REFUSAL_LENGTH_MAX = 600

LONG_BYTES = (5_000, 20_000, 70_000)
"""What takes more than linear time shows in long inputs, which a fuzzer hardly makes by itself."""

LONG_EVERY = 64
"""One of so many inputs is made long, always the same ones."""

PIECE_BYTES_MAX = 32
"""How much of it is repeated at most."""

T = TypeVar("T")

Pause = Callable[[], None]
"""What a reader calls between two pieces of its work."""


class BrokenPromiseError(Exception):
    """A reader did what it must not do; the text says what."""


def require(is_so: bool, otherwise: str, *shown: object) -> None:
    """See that a promise is kept.

    Args:
        is_so: Whether it is.
        otherwise: What is wrong if it is not.
        shown: Values that go with it.

    Raises:
        BrokenPromiseError: If it is not.
    """
    if not is_so:
        raise BrokenPromiseError(": ".join([otherwise, *(f"{each!r:.300}" for each in shown)]))


class Turns:
    """Measures how long a reader works at a time.

    Attributes:
        longest_s: The longest time between two of its pauses, in seconds of processor time.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._begun = thread_time()

    def pause(self) -> None:
        """Note that others could go on."""
        now = thread_time()
        self.longest_s = max(self.longest_s, now - self._begun)
        self._begun = now


@dataclass(frozen=True, slots=True)
class Target(Generic[T]):
    """A reader, and what is promised of it.

    Whatever it is given, it raises nothing but its refusals, each with a text that says why; and it
    lets others go on within ``LIMIT_S``.

    Attributes:
        read: Reads an input.
        refusals: What it may raise.
        holds: Raises ``BrokenPromiseError`` if what was read cannot be right.
        seeds: Inputs to begin with.
    """

    read: Callable[[bytes, Pause], T]
    refusals: tuple[type[Exception], ...]
    holds: Callable[[bytes, T], None]
    seeds: Sequence[bytes]

    def examine(self, data: bytes, limit_s: float = LIMIT_S) -> None:
        """Have an input read, and see that all promises are kept.

        Args:
            data: The input.
            limit_s: How long the reader may work at a time, in seconds of processor time.

        Raises:
            BrokenPromiseError: If one is not.
            Exception: What the reader must not raise.
        """
        turns = Turns()
        try:
            found = self.read(data, turns.pause)
        except self.refusals as error:
            turns.pause()
            text = text_of(error)
            require(
                0 < len(text) <= REFUSAL_LENGTH_MAX, "a refusal says nothing, or too much", text
            )
        else:
            turns.pause()
            self.holds(data, found)
        if turns.longest_s > limit_s:
            self._measure_again(data, turns.longest_s, limit_s)

    def _measure_again(self, data: bytes, longest_s: float, limit_s: float) -> None:
        for _ in range(0 if longest_s > CERTAINLY * limit_s else TRIES):
            turns = Turns()
            with suppress(*self.refusals):
                self.read(data, turns.pause)
            turns.pause()
            longest_s = min(longest_s, turns.longest_s)
        require(longest_s <= limit_s, "others wait too long, in seconds", longest_s)


def text_of(error: Exception) -> str:
    """Return what a refusal says."""
    return (error.description or "") if isinstance(error, falcon.HTTPError) else str(error)


def try_input(target: Target[T], data: bytes, limit_s: float = LIMIT_S) -> None:
    """Have an input examined and, of some, what they are with a piece of them repeated.

    Raises:
        BrokenPromiseError: If a promise is not kept.
        Exception: What the reader must not raise.
    """
    target.examine(data, limit_s)
    number = crc32(data)
    if data and number % LONG_EVERY == 0:
        target.examine(_with_a_piece_repeated(data, number // LONG_EVERY), limit_s)


def _with_a_piece_repeated(data: bytes, number: int) -> bytes:
    number, start = divmod(number, len(data))
    number, length = divmod(number, PIECE_BYTES_MAX)
    piece = data[start : start + 1 + length]
    times = LONG_BYTES[number % len(LONG_BYTES)] // len(piece)
    return data[:start] + piece * times + data[start:]
