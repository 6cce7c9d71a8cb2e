"""What all faults have in common."""

from random import Random
from typing import Protocol


class Fault(Protocol):
    """Something that can go wrong."""

    def inject(self, random: Random) -> str:
        """Break something, mend it again, and tell what was done.

        Args:
            random: Decides what is left open: which process, how long.

        Raises:
            TimeoutError: If what must go on, or become well again, does not.
            RuntimeError: If something ended otherwise than it must.
        """
