"""What both loads of chaos have in common."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ops.lab.chaos.system import ChaosSystem
from ops.lab.chaos.verdict import Finding

Say = Callable[[str], None]
"""Shows a line to a person."""


class ChaosLoad(Protocol):
    """Those who send while faults are injected, and know what must be counted."""

    def start(self) -> None:
        """Let them begin."""

    def progress(self) -> str:
        """Return how far they are."""

    def finish(self, timeout_s: float) -> list[Finding]:
        """Let them deliver what they have, and begin no more; return who could not."""

    def leave(self) -> None:
        """Let them go, whatever they have."""

    def check(self, system: ChaosSystem, say: Say) -> Iterator[Finding]:
        """Yield each difference between what they know and what is counted; all is drained."""

    def numbers(self) -> Mapping[str, int]:
        """Return what the last line says of them, after the check."""
