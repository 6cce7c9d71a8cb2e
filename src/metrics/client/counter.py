"""A count to which any thread adds in one step of the interpreter."""

from operator import length_hint

_COUNTER_MAX = 2**62


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
